#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "pipeline/calibration/document_source.hpp"
#include "pipeline/config/run_config.hpp"
#include "pipeline/tokenizer/tokenizer.hpp"

namespace shardquant::calibration {

enum class BosPolicy { document, row, none };

/// How documents become rows of tokens.
struct PackingRules {
  std::int64_t length = 0;
  BosPolicy bos = BosPolicy::document;
  std::string separator;
  std::uint64_t seed = 0;    ///< 0: documents stay in order
  bool drops_twins = false;  ///< documents that were there before are left out
};

/// What was taken from one source.
struct SourceRecord {
  std::vector<FileRecord> files;
  std::int64_t documents = 0;  ///< encoded; of token streams 0
  std::int64_t twins = 0;      ///< documents left out
  std::int64_t rows = 0;
};

/// Takes rows out of sources, one source after the other. Rows hold tokens of one source only.
/// Documents are put one after the other and cut into rows; what is left at the end of a source is
/// dropped. With BosPolicy::document every document begins with BOS, with BosPolicy::row every row
/// does, in place of one token more. Token streams are cut into rows as they are.
class RowReader {
 public:
  /// `tokenizer` may be null where all sources are token streams.
  /// @throws Failure(bad_data) where the rules want a BOS that the tokenizer lacks
  RowReader(tokenizer::Tokenizer* tokenizer, const PackingRules& rules);

  /// Appends `count` rows of a source to `rows`. @throws Failure(bad_data) where it has fewer,
  /// saying how many; as read_documents, TokenStream and Tokenizer
  SourceRecord read(const config::RunConfig::Source& source, std::int64_t count,
                    std::vector<std::int32_t>& rows);

 private:
  struct Document {
    std::string text;
    std::filesystem::path file;
  };

  void take_document(std::string_view text, const std::filesystem::path& file,
                     std::vector<std::int32_t>& stream, SourceRecord& record);
  void read_text(const config::RunConfig::Source& source, std::int64_t wanted,
                 std::vector<std::int32_t>& stream, SourceRecord& record);
  void read_streams(const config::RunConfig::Source& source, std::int64_t count,
                    std::vector<std::int32_t>& rows, SourceRecord& record);

  tokenizer::Tokenizer* tokenizer_;
  PackingRules rules_;
  std::unordered_set<std::string> seen_;  // hashes of documents
};

/// Appends a document's ids to `ids`, BOS first where `bos` is given.
/// @throws Failure(bad_data) naming `file`
void append_document(tokenizer::Tokenizer& tokenizer, std::string_view text,
                     std::optional<std::int32_t> bos, std::vector<std::int32_t>& ids,
                     const std::filesystem::path& file);

/// A permutation of 0..count-1 that depends on count and seed only.
std::vector<std::int64_t> shuffled(std::int64_t count, std::uint64_t seed);

}  // namespace shardquant::calibration
