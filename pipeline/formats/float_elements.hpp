#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/api/half_types.hpp"
#include "pipeline/formats/tensor_info.hpp"

namespace shardquant::formats {

/// True for the types that weights are kept in: F16, BF16, F32.
constexpr bool is_weight_dtype(Dtype dtype) {
  return dtype == Dtype::f16 || dtype == Dtype::bf16 || dtype == Dtype::f32;
}

/// Exact value of element `index` of elements as they lie in a file. @pre is_weight_dtype(dtype)
inline float float_element(const std::byte* elements, Dtype dtype, std::int64_t index) {
  if (dtype == Dtype::f32) {
    float value = 0.0f;
    std::memcpy(&value, elements + 4 * index, sizeof value);
    return value;
  }
  std::uint16_t bits = 0;
  std::memcpy(&bits, elements + 2 * index, sizeof bits);
  return dtype == Dtype::f16 ? kernels::to_float(kernels::Half{bits})
                             : kernels::to_float(kernels::BFloat16{bits});
}

/// Stores `value`, rounded to the nearest number of the type, ties to even.
/// @pre is_weight_dtype(dtype)
inline void set_float_element(std::byte* elements, Dtype dtype, std::int64_t index, float value) {
  if (dtype == Dtype::f32) {
    std::memcpy(elements + 4 * index, &value, sizeof value);
    return;
  }
  const std::uint16_t bits =
      dtype == Dtype::f16 ? kernels::to_half(value).bits : kernels::to_bfloat(value).bits;
  std::memcpy(elements + 2 * index, &bits, sizeof bits);
}

/// `value` rounded to the nearest number of the type, ties to even. @pre is_weight_dtype(dtype)
constexpr float round_to_dtype(float value, Dtype dtype) {
  if (dtype == Dtype::f32) return value;
  if (dtype == Dtype::f16) return kernels::round_to_half(value);
  return kernels::round_to_bfloat(value);
}

}  // namespace shardquant::formats
