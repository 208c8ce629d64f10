#pragma once

#include <cstdint>
#include <random>

#include "kernels/api/half_types.hpp"
#include "pipeline/formats/weights/gguf/gguf_codec.hpp"

namespace shardquant::tests {

/// Blocks with integers of every value of the grid and finite fp16 numbers of every size.
inline gguf::GgufIntegers random_gguf(const gguf::GgufGrid& grid, std::int64_t blocks,
                                      std::mt19937& random) {
  const auto between = [&](int least, int largest) {
    return least + static_cast<int>(random() % static_cast<unsigned>(largest - least + 1));
  };
  const auto half = [&] {
    // Every other one is a scale as they are in models, the rest are any bits.
    if (random() % 2 == 0)
      return kernels::to_half(1e-4f * static_cast<float>(random() % 1000)).bits;
    const auto bits = static_cast<std::uint16_t>(random());
    return static_cast<std::uint16_t>((bits & 0x7c00u) == 0x7c00u ? bits & 0x83ffu : bits);
  };
  gguf::GgufIntegers all;
  for (std::int64_t i = 0; i < blocks * gguf::gguf_block_elements(grid.type); ++i) {
    all.codes.push_back(static_cast<std::uint8_t>(between(0, (1 << grid.bits) - 1)));
  }
  for (std::int64_t i = 0; i < blocks * grid.runs(); ++i) {
    if (grid.has_scales()) {
      all.scales.push_back(static_cast<std::int8_t>(between(grid.least_scale, grid.largest_scale)));
    }
    if (grid.has_minima()) {
      all.minima.push_back(static_cast<std::uint8_t>(between(0, grid.largest_minimum)));
    }
  }
  for (std::int64_t b = 0; b < blocks; ++b) {
    all.d.push_back(half());
    if (grid.has_offset()) all.m.push_back(half());
  }
  return all;
}

}  // namespace shardquant::tests
