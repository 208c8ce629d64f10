#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "kernels/api/matrix.hpp"
#include "pipeline/formats/safetensors_folder.hpp"

namespace shardquant::model {

/// A stored weight [N, K] read whole into host memory, in its own type.
struct StoredWeight {
  std::vector<std::byte> bytes;
  kernels::ElementType type = kernels::ElementType::f32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  kernels::HostTensor tensor() const { return {bytes.data(), type, rows, cols}; }
};

/// Reads a matrix of F32, F16 or BF16.
/// @throws Failure(bad_data) naming file, tensor, first index [row, column] and count, where it
/// holds NaN or infinity; and for other types and shapes
StoredWeight read_stored_weight(const formats::SafetensorsFolder& folder, const std::string& name);

/// Throws Failure(bad_data) naming tensor, first index and count, where a weight is beyond 65504:
/// what the reader of a quantized layer rebuilds is fp16.
void require_fits_half(const StoredWeight& weight, const formats::SafetensorsFolder& folder,
                       const std::string& name);

}  // namespace shardquant::model
