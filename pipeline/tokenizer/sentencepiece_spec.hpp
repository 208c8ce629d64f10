#pragma once

#include <string_view>

namespace shardquant::tokenizer {

/// What a tokenizer.model says about itself and the library's interface does not tell. Defaults
/// are those of sentencepiece_model.proto.
struct SentencePieceSpec {
  bool is_bpe = false;
  bool is_identity = true;  ///< no table of character replacements
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  bool whitespace_as_suffix = false;
};

/// Reads the specs of a model, a protocol buffer. @throws Failure(bad_data) where it is none
SentencePieceSpec read_sentencepiece_spec(std::string_view model);

}  // namespace shardquant::tokenizer
