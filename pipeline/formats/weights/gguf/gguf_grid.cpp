#include "pipeline/formats/weights/gguf/gguf_grid.hpp"

#include <algorithm>
#include <array>

namespace shardquant::gguf {

namespace {

constexpr auto kNone = GgufOffset::none;
constexpr auto kMinimum = GgufOffset::minimum;
constexpr auto kBlock = GgufOffset::block;

// type, bits, zero, run, least and largest scale, offset, largest minimum
constexpr std::array<GgufGrid, 10> kGrids = {{{GgufType::q4_0, 4, 8, 32, 1, 1, kNone, 0},
                                              {GgufType::q4_1, 4, 0, 32, 1, 1, kBlock, 0},
                                              {GgufType::q5_0, 5, 16, 32, 1, 1, kNone, 0},
                                              {GgufType::q5_1, 5, 0, 32, 1, 1, kBlock, 0},
                                              {GgufType::q8_0, 8, 128, 32, 1, 1, kNone, 0},
                                              {GgufType::q2_k, 2, 0, 16, 0, 15, kMinimum, 15},
                                              {GgufType::q3_k, 3, 4, 16, -32, 31, kNone, 0},
                                              {GgufType::q4_k, 4, 0, 32, 0, 63, kMinimum, 63},
                                              {GgufType::q5_k, 5, 0, 32, 0, 63, kMinimum, 63},
                                              {GgufType::q6_k, 6, 32, 16, -128, 127, kNone, 0}}};

}  // namespace

std::span<const GgufGrid> gguf_grids() {
  return kGrids;
}

const GgufGrid* find_gguf_grid(GgufType type) {
  const auto grid = std::find_if(kGrids.begin(), kGrids.end(),
                                 [&](const GgufGrid& entry) { return entry.type == type; });
  return grid == kGrids.end() ? nullptr : &*grid;
}

}  // namespace shardquant::gguf
