#include "pipeline/model/source_types/stored_weight.hpp"

#include <cstring>

#include "kernels/api/half_types.hpp"

namespace shardquant::model {

float element_at(std::span<const std::byte> bytes, kernels::ElementType type, std::size_t index) {
  if (type == kernels::ElementType::f32) {
    float value = 0.0f;
    std::memcpy(&value, bytes.data() + 4 * index, sizeof value);
    return value;
  }
  std::uint16_t bits = 0;
  std::memcpy(&bits, bytes.data() + 2 * index, sizeof bits);
  return type == kernels::ElementType::f16 ? kernels::to_float(kernels::Half{bits})
                                           : kernels::to_float(kernels::BFloat16{bits});
}

}  // namespace shardquant::model
