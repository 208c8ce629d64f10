#pragma once

#include <cstdint>
#include <vector>

namespace shardquant::allocation {

/// What an output folder weighs, in bytes, as a function of the plan: fixed_bytes plus the bytes of
/// every layer's chosen option.
struct FolderSize {
  /// Head, embeddings, norms, biases, headers, index, config and copied files; where a part depends
  /// on the plan (digits of offsets in headers), the most it can be.
  std::int64_t fixed_bytes = 0;
  std::vector<std::vector<std::int64_t>> layer_bytes;  ///< [layer][option] of its tensors
};

}  // namespace shardquant::allocation
