#pragma once

#include <cstdint>

#include "kernels/api/matrix.hpp"

namespace shardquant::kernels {

/// Uninitialized host matrix, 64-byte aligned. @throws DeviceOutOfMemory naming the bytes asked for
Matrix allocate_matrix(std::int64_t rows, std::int64_t cols, std::int64_t stride);

}  // namespace shardquant::kernels
