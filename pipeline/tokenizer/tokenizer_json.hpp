#pragma once

#include <memory>
#include <optional>
#include <string>

#include "pipeline/formats/json_text.hpp"
#include "pipeline/tokenizer/tokenizer.hpp"

namespace shardquant::tokenizer {

/// What tokenizer_config.json says; empty: nothing.
struct SpecialNames {
  std::string bos;
  std::string eos;
  std::optional<bool> adds_bos;
};

/// Builds a tokenizer from the text of a tokenizer.json whose model is BPE. Supported are
/// normalizers Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD, Lowercase, Strip; pre-tokenizers
/// Sequence, Split, ByteLevel, Metaspace, Digits; post-processors Sequence, ByteLevel,
/// TemplateProcessing; decoders Sequence, ByteLevel, ByteFallback, Replace, Fuse, Strip, Metaspace.
/// `truncation` and `padding` concern batches and are not applied.
/// @throws Failure(bad_data) naming the file, the field and its value
std::unique_ptr<Tokenizer> make_json_tokenizer(const formats::JsonText& json,
                                               const SpecialNames& names = {});

}  // namespace shardquant::tokenizer
