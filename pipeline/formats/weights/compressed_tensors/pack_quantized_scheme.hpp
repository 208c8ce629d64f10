#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

namespace shardquant::compressed_tensors {

/// How all weights of one layer are stored by compressed-tensors' `pack-quantized`:
/// W'[n, k] = (q[n, k] - z[n, g]) * s[n, g], g = k / group, with q and z integers of `bits` bits in
/// [-2^(bits-1), 2^(bits-1) - 1]; z = 0 in a symmetric scheme.
struct PackQuantizedScheme {
  int bits = 0;            ///< 1 to 8
  std::int64_t group = 0;  ///< consecutive inputs with one scale; 0: all inputs of an output
  bool symmetric = true;

  friend auto operator<=>(const PackQuantizedScheme&, const PackQuantizedScheme&) = default;
};

/// "w4g128s": bits, group ("c" for all inputs of an output), "s" symmetric or "a" asymmetric.
std::string pack_quantized_name(const PackQuantizedScheme& scheme);

/// What the readers' kernels see of a layer: its shape, whether it is a projection of an expert,
/// and over how many devices a tensor-parallel reader may cut each side of it.
struct PackQuantizedUse {
  std::int64_t outputs = 0;
  std::int64_t inputs = 0;
  bool is_expert = false;
  std::int64_t output_parts = 1;
  std::int64_t input_parts = 1;
};

/// Why no reader can load such a layer with this scheme; empty where vLLM can. Its kernels want
/// whole groups on every device and, in an asymmetric layer, outputs whose zero points fill whole
/// words. Experts must have groups, and outputs that fill words: those of one projection are the
/// inputs of the next; their zero points are counted as 32 / bits (rounded down) to a word.
/// Kernels that want more (Marlin's 128 hidden, Machete's 128 outputs) give way to others.
std::string pack_quantized_fault(const PackQuantizedScheme& scheme, const PackQuantizedUse& use);

/// The options of an allocation: 2, 3, 4, 5, 6 and 8 bits in groups of 32, 64 and 128, symmetric
/// and, with `asymmetric`, asymmetric as well; those without a pack_quantized_fault, in ascending
/// order.
std::vector<PackQuantizedScheme> pack_quantized_schemes(const PackQuantizedUse& use,
                                                        bool asymmetric);

}  // namespace shardquant::compressed_tensors
