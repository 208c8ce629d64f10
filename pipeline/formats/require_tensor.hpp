#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/safetensors_folder.hpp"

namespace shardquant::formats {

/// Throws Failure(bad_data) that names the folder, the tensor and the reason.
[[noreturn]] void refuse_tensor(const SafetensorsFolder& folder, std::string_view tensor,
                                std::string_view reason);

/// The tensor of that name. @throws Failure(bad_data) where it is missing, of another type or with
/// another number of dimensions
const TensorInfo& require_tensor(const SafetensorsFolder& folder, std::string_view tensor,
                                 Dtype dtype, std::size_t rank);

/// Throws Failure(bad_data) where the folder lacks this tensor or has it with another type or
/// shape.
void require_tensor(const SafetensorsFolder& folder, const TensorSpec& spec);

/// All elements of a tensor as they lie in the file. @pre T has the size of an element
template <class T>
std::vector<T> read_values(const SafetensorsFolder& folder, std::string_view tensor) {
  std::vector<T> values(folder.at(tensor).bytes() / sizeof(T));
  folder.read(tensor, 0, std::as_writable_bytes(std::span(values)));
  return values;
}

}  // namespace shardquant::formats
