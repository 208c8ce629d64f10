#pragma once

#include <filesystem>
#include <memory>

#include "pipeline/tokenizer/tokenizer.hpp"

namespace shardquant::tokenizer {

/// A tokenizer.model, read and run by the sentencepiece library (BPE and Unigram models).
/// @throws Failure: as reading a file; bad_data where it is no such model
std::unique_ptr<Tokenizer> read_sentencepiece(const std::filesystem::path& file);

}  // namespace shardquant::tokenizer
