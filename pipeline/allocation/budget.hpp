#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pipeline/allocation/allocation_input.hpp"

namespace shardquant::allocation {

/// How much the layers may take, in the unit the user thinks in.
struct Budget {
  enum class Kind {
    bpw,           ///< value: bits per weight over all layers, as the measurement counts bits
    bits,          ///< amount: bits of all layers, counted the same way
    folder_bytes,  ///< amount: bytes of the whole output folder
  };
  Kind kind = Kind::bpw;
  double bpw = 0.0;
  std::int64_t amount = 0;

  static Budget bits_per_weight(double bpw) { return {Kind::bpw, bpw, 0}; }
  static Budget total_bits(std::int64_t bits) { return {Kind::bits, 0.0, bits}; }
  static Budget folder(std::int64_t bytes) { return {Kind::folder_bytes, 0.0, bytes}; }
};

/// Bits that the layers may take together: floor(bpw * numel), or the amount itself.
/// @throws Failure 78 for a bpw that is not finite and positive; 65 for a bpw where the measurement
/// does not tell the number of weights
/// @pre budget.kind is not folder_bytes
std::int64_t budget_bits(const Budget& budget, const AllocationInput& input);

/// "24GiB", "800 MB", "123456789" in bytes; GiB/MiB/KiB are powers of 1024, GB/MB/kB of 1000.
/// @throws Failure 78 for anything else
std::int64_t parse_size(std::string_view text);

}  // namespace shardquant::allocation
