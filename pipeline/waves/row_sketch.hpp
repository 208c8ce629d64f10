#pragma once

#include <cstdint>
#include <span>

#include "kernels/api/backend.hpp"

namespace shardquant::waves {

/// out = Omega x, where Omega [sketch_rows, T] has entries +1 and -1 that depend on the calibration
/// row's index alone. E ||Omega X E||^2 = sketch_rows ||X E||^2. x: [T, K] of one row; out:
/// [sketch_rows, K] host
void sketch_row(kernels::Backend& backend, std::int64_t row, std::int64_t sketch_rows,
                kernels::ConstMatrixView x, std::span<float> out);

}  // namespace shardquant::waves
