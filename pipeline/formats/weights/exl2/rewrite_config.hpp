#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace shardquant::exl2 {

/// What config.json of an EXL2 folder says about the quantization (exl2-format.md section 11).
struct Exl2ConfigEntry {
  double bits = 0.0;  ///< bits per weight of the decoder layers
  int head_bits = 0;
  std::int64_t calibration_rows = 0;
  std::int64_t calibration_length = 0;
  std::string calibration_dataset;  ///< base name of the file, or "(default)"
};

/// The ExLlamaV2 version whose format is followed.
inline constexpr std::string_view kExl2Version = "0.3.2";

/// New text for config.json: the source's keys and values in their order, torch_dtype float16,
/// quantization_config last. A former quantization_config is kept in it as
/// "original_quantization_config". `file` names the source in messages. Deterministic.
/// @throws Failure(bad_data) where the text is no JSON object
std::string rewrite_config(std::string_view source_text, const std::string& file,
                           const Exl2ConfigEntry& entry);

}  // namespace shardquant::exl2
