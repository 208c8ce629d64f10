#pragma once

#include <cstddef>
#include <vector>

#include "kernels/api/matrix.hpp"
#include "pipeline/stages/source_model.hpp"

namespace shardquant::stages {

/// A stored weight [N, K] read whole into host memory, in its own type.
struct StoredWeight {
  std::vector<std::byte> bytes;
  kernels::HostTensor tensor() const { return {bytes.data(), type, rows, cols}; }

  kernels::ElementType type = kernels::ElementType::f32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

/// Reads the weight of a linear layer (index into the layout) of a plain folder.
/// @throws Failure(bad_data) naming the tensor and the first index where it holds NaN or infinity
StoredWeight read_weight(const SourceModel& model, std::int64_t layer);

}  // namespace shardquant::stages
