#include "kernels/cpu/allocate_matrix.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "kernels/api/kernel_error.hpp"

namespace shardquant::kernels {

Matrix allocate_matrix(std::int64_t rows, std::int64_t cols, std::int64_t stride) {
  constexpr std::size_t kAlignment = 64;
  const auto bytes =
      static_cast<std::size_t>(std::max<std::int64_t>(rows * stride, 1)) * sizeof(float);
  void* data = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (data == nullptr) {
    throw DeviceOutOfMemory("host memory: " + std::to_string(bytes) + " bytes for a matrix of " +
                            std::to_string(rows) + " x " + std::to_string(cols) + " not available");
  }
  return {std::shared_ptr<float[]>(static_cast<float*>(data), std::free), rows, cols, stride};
}

}  // namespace shardquant::kernels
