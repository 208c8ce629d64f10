#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "pipeline/calibration/document_source.hpp"
#include "pipeline/tokenizer/tokenizer.hpp"

namespace shardquant::calibration {

/// Where BOS tokens are put; `automatic`: before every document where the tokenizer puts one before
/// a text by itself (Tokenizer::adds_bos), else nowhere.
enum class BosPolicy { automatic, document, row, none };

/// Of "auto", "document", "row", "none". @pre one of these
BosPolicy bos_policy(std::string_view word);

/// Turns documents into token ids of a model.
class DocumentEncoder {
 public:
  /// Ids from `vocab_size` on are refused. @throws Failure(config) where the policy wants a BOS
  /// that the tokenizer lacks, naming the remedy `without_bos`
  DocumentEncoder(tokenizer::Tokenizer& tokenizer, BosPolicy policy, std::int64_t vocab_size,
                  std::string_view without_bos);

  /// Never automatic.
  BosPolicy policy() const { return policy_; }

  /// Appends a document's ids. With BosPolicy::document BOS comes first, once, also where the text
  /// has it written out; rendered chats are taken as their template has them. With BosPolicy::row
  /// one that begins the text is left out.
  /// @throws Failure(bad_data) naming `file` and the document, and token and text of an id that the
  /// model does not have
  void append(const Document& document, const std::filesystem::path& file,
              std::vector<std::int32_t>& ids);

 private:
  tokenizer::Tokenizer& tokenizer_;
  BosPolicy policy_;
  std::int64_t vocab_size_;
};

}  // namespace shardquant::calibration
