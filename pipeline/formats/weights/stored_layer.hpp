#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/matrix.hpp"

namespace shardquant::weights {

/// A quantized layer in the form in which its format stores it, whole in host memory: packed from
/// what the sweep gives, or read from a folder. Const calls may run in several threads.
class StoredLayer {
 public:
  virtual ~StoredLayer() = default;

  /// Bytes of its tensors, in the order of WeightFormat::tensors; they stay this object's.
  virtual std::vector<std::span<const std::byte>> tensor_bytes() const = 0;

  /// Type of the weights that the format's reader multiplies with.
  virtual kernels::ElementType value_type() const = 0;
  /// Those weights for outputs [first, first + count), as a Hugging Face checkpoint has them:
  /// [count, inputs] of value_type. out: aligned for it.
  virtual void decode_outputs(std::int64_t first, std::int64_t count,
                              std::span<std::byte> out) const = 0;

  /// Bits on disk of all its tensors but the bias.
  virtual std::int64_t stored_bits() const = 0;
  /// Groups, not all zero, whose scale the format cannot hold, so that they decode to zero.
  virtual std::int64_t flushed_groups() const = 0;
};

}  // namespace shardquant::weights
