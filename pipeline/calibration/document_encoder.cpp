#include "pipeline/calibration/document_encoder.hpp"

#include <fmt/format.h>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::calibration {

BosPolicy bos_policy(std::string_view word) {
  if (word == "document") return BosPolicy::document;
  if (word == "row") return BosPolicy::row;
  if (word == "none") return BosPolicy::none;
  return BosPolicy::automatic;
}

DocumentEncoder::DocumentEncoder(tokenizer::Tokenizer& tokenizer, BosPolicy policy,
                                 std::int64_t vocab_size, std::string_view without_bos)
    : tokenizer_(tokenizer), policy_(policy), vocab_size_(vocab_size) {
  if (policy_ == BosPolicy::automatic) {
    policy_ = tokenizer.adds_bos() ? BosPolicy::document : BosPolicy::none;
  }
  if (policy_ != BosPolicy::none && !tokenizer.bos()) {
    fail(ExitCode::config, "the tokenizer has no BOS token; give {}", without_bos);
  }
}

void DocumentEncoder::append(const Document& document, const std::filesystem::path& file,
                             std::vector<std::int32_t>& ids) {
  const auto first = ids.size();
  try {
    const bool is_about_bos = policy_ != BosPolicy::none && !document.is_rendered;
    std::string_view text = document.text;
    if (is_about_bos) {
      // Taken off here, so that it is none of the text also where a tokenizer would read it as
      // such.
      const std::string bos = tokenizer_.piece(*tokenizer_.bos());
      if (!bos.empty() && text.starts_with(bos)) text.remove_prefix(bos.size());
      if (policy_ == BosPolicy::document) ids.push_back(*tokenizer_.bos());
    }
    tokenizer_.encode(text, ids);
  } catch (const Failure& failure) {
    throw Failure(failure.code(), fmt::format("{}: document {}: {}", file.string(), document.number,
                                              failure.what()));
  }
  for (std::size_t i = first; i < ids.size(); ++i) {
    if (ids[i] < vocab_size_) continue;
    fail(ExitCode::bad_data,
         "{}: document {}: token {} ({}) is outside the model's vocabulary of {}; take it out of "
         "the text, or give the tokenizer that belongs to the model",
         file.string(), document.number, ids[i], formats::json_quote(tokenizer_.piece(ids[i])),
         vocab_size_);
  }
}

}  // namespace shardquant::calibration
