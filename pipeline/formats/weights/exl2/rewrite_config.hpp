#pragma once

#include <string>
#include <string_view>

#include "pipeline/formats/weights/weight_format.hpp"

namespace shardquant::exl2 {

/// The ExLlamaV2 version whose format is followed.
inline constexpr std::string_view kExl2Version = "0.3.2";

/// New text for config.json: the source's keys and values in their order, torch_dtype float16,
/// quantization_config last. A former quantization_config is kept in it as
/// "original_quantization_config". Where the reader would find another value of one of the
/// fields than the one it has to, that is put in; the rest, what the reader does not know included,
/// stays. A token id that is a list, which the reader refuses but for EOS, becomes its first.
/// `file` names the source in messages. Deterministic.
/// @throws Failure(bad_data) where the text is no JSON object
std::string rewrite_config(std::string_view source_text, const std::string& file,
                           const weights::QuantizationEntry& entry);

}  // namespace shardquant::exl2
