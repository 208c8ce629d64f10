#pragma once

#include <cstdint>

#include "kernels/api/matrix.hpp"
#include "kernels/cuda/device_context.hpp"
#include "kernels/cuda/launchers.hpp"

namespace shardquant::kernels::cuda {

/// How many elements of x, or of its upper triangle, are NaN or infinite. first: flat index in
/// [x.rows, x.cols] of the first of them; untouched where there are none. Waits for the device.
std::int64_t count_nonfinite(DeviceContext& context, ConstMatrixView x, Part part,
                             std::int64_t& first);

}  // namespace shardquant::kernels::cuda
