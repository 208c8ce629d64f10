#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "pipeline/calibration/document_encoder.hpp"
#include "pipeline/calibration/document_source.hpp"
#include "pipeline/config/run_config.hpp"
#include "pipeline/tokenizer/tokenizer.hpp"

namespace shardquant::calibration {

/// How documents become rows of tokens.
struct PackingRules {
  std::int64_t length = 0;
  BosPolicy bos = BosPolicy::document;
  std::string separator;
  std::uint64_t seed = 0;    ///< 0: documents stay in order
  bool drops_twins = false;  ///< documents that were there before are left out
  std::int64_t vocab_size = std::int64_t{1} << 31;  ///< of the model: ids from there on are refused
  RenderMessages render = {};                       ///< of chat messages
};

/// What was taken from one source.
struct SourceRecord {
  std::vector<FileRecord> files;
  std::int64_t documents = 0;  ///< encoded; of token streams 0
  std::int64_t twins = 0;      ///< documents left out
  std::int64_t rows = 0;
};

/// How many rows of a source are wanted: at least so many, and more where it has them.
struct RowCount {
  std::int64_t least = 0;
  std::int64_t most = 0;
};

/// Takes rows out of sources, one source after the other. Rows hold tokens of one source only.
/// Documents are put one after the other and cut into rows; what is left at the end of a source is
/// dropped. With BosPolicy::document every document begins with BOS, with BosPolicy::row every row
/// does, in place of one token more. Token streams are cut into rows as they are.
class RowReader {
 public:
  /// `tokenizer` may be null where all sources are token streams.
  /// @throws Failure as DocumentEncoder
  RowReader(tokenizer::Tokenizer* tokenizer, const PackingRules& rules);

  /// Appends rows of a source to `rows`; their number is in the record.
  /// @throws Failure(bad_data) where it has fewer than count.least, saying how many; as
  /// read_documents, TokenStream and DocumentEncoder
  SourceRecord read(const config::RunConfig::Source& source, const RowCount& count,
                    std::vector<std::int32_t>& rows);

 private:
  void take_document(const Document& document, const std::filesystem::path& file,
                     std::vector<std::int32_t>& stream, SourceRecord& record);
  void read_text(const config::RunConfig::Source& source, std::int64_t wanted,
                 std::vector<std::int32_t>& stream, SourceRecord& record);
  void read_streams(const config::RunConfig::Source& source, const RowCount& count,
                    std::vector<std::int32_t>& rows, SourceRecord& record);

  tokenizer::Tokenizer* tokenizer_;
  PackingRules rules_;
  std::optional<DocumentEncoder> encoder_;
  std::unordered_set<std::string> seen_;  // hashes of documents
};

/// A permutation of 0..count-1 that depends on count and seed only.
std::vector<std::int64_t> shuffled(std::int64_t count, std::uint64_t seed);

}  // namespace shardquant::calibration
