#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/matrix.hpp"

namespace shardquant::model {

/// Bytes of an element of that type.
constexpr std::int64_t element_bytes(kernels::ElementType type) {
  return type == kernels::ElementType::f32 ? 4 : 2;
}

/// Element `index` of bytes that hold elements of that type.
float element_at(std::span<const std::byte> bytes, kernels::ElementType type, std::size_t index);

/// A weight [N, K] in host memory, whole, in the type in which its folder holds it. How it gets
/// there is a file of its own for every form in which folders store weights.
struct StoredWeight {
  std::vector<std::byte> bytes;
  kernels::ElementType type = kernels::ElementType::f32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  kernels::HostTensor tensor() const { return {bytes.data(), type, rows, cols}; }
};

}  // namespace shardquant::model
