#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "pipeline/tokenizer/tokenizer.hpp"

namespace shardquant::tokenizer {

/// A tokenizer.model, read and run by the sentencepiece library (BPE and Unigram models).
/// `adds_bos`: what else is known of Tokenizer::adds_bos; otherwise it does.
/// @throws Failure: as reading a file; bad_data where it is no such model
std::unique_ptr<Tokenizer> read_sentencepiece(const std::filesystem::path& file,
                                              std::optional<bool> adds_bos = std::nullopt);

}  // namespace shardquant::tokenizer
