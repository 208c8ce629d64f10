#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/tensor_info.hpp"

namespace shardquant::formats::detail {

/// Parses the JSON header of a safetensors file of `file_bytes` bytes and checks it by the rules of
/// SafetensorsFile; `file` names it in messages. Tensors come in the order of their places.
/// @throws Failure(bad_data)
std::vector<TensorInfo> parse_safetensors_header(std::string_view header, const std::string& file,
                                                 std::int64_t file_bytes);

/// Throws Failure(bad_data) with a text of its own where the first bytes of a file show that it is
/// a Git LFS pointer or a web page instead of a checkpoint; else returns.
void refuse_impostor(std::string_view beginning, const std::string& file);

}  // namespace shardquant::formats::detail
