#pragma once

#include <bit>
#include <cstdint>

#include "kernels/api/half_types.hpp"
#include "kernels/api/matrix.hpp"

namespace shardquant::kernels::cuda {

__device__ inline float stored_to_float(float value) {
  return value;
}
__device__ inline float stored_to_float(Half value) {
  return to_float(value);
}
__device__ inline float stored_to_float(BFloat16 value) {
  return to_float(value);
}

/// Calls `run` with a null pointer of the type that elements of `type` are stored as.
template <class Run>
void with_stored_type(ElementType type, Run run) {
  switch (type) {
    case ElementType::f32:
      run(static_cast<const float*>(nullptr));
      break;
    case ElementType::f16:
      run(static_cast<const Half*>(nullptr));
      break;
    case ElementType::bf16:
      run(static_cast<const BFloat16*>(nullptr));
      break;
  }
}

}  // namespace shardquant::kernels::cuda
