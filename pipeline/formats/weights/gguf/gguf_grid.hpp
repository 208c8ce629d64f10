#pragma once

#include <span>

#include "pipeline/formats/weights/gguf/gguf_type.hpp"

namespace shardquant::gguf {

/// What is taken from or added to the product of scale and integer.
enum class GgufOffset {
  none,
  minimum,  ///< m * minimum of the run is taken away; m is what llama.cpp calls dmin
  block     ///< m is added
};

/// The integers a quantized type can store. Of element e of a block, in run i = e / run_elements:
/// value = (d * scale[i]) * (code[e] - zero) - (m * minimum[i]), or + m, each step in fp32; d and m
/// are fp16 numbers of the block. A type without stored scales has scale 1.
struct GgufGrid {
  GgufType type = GgufType::q4_0;
  int bits = 0;          ///< codes are 0 to 2^bits - 1
  int zero = 0;          ///< the code of value 0 in a type without offset
  int run_elements = 0;  ///< consecutive elements with one scale
  int least_scale = 1;
  int largest_scale = 1;
  GgufOffset offset = GgufOffset::none;
  int largest_minimum = 0;

  bool has_scales() const { return least_scale != largest_scale; }
  bool has_minima() const { return offset == GgufOffset::minimum; }
  bool has_offset() const { return offset != GgufOffset::none; }
  std::int64_t runs() const { return gguf_block_elements(type) / run_elements; }
};

/// The grids of Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K and Q6_K, by type number.
std::span<const GgufGrid> gguf_grids();

/// The grid of a type; null where the type is no grid of integers.
const GgufGrid* find_gguf_grid(GgufType type);

}  // namespace shardquant::gguf
