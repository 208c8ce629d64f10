#pragma once

#include "pipeline/formats/weights/weight_format.hpp"

namespace shardquant::exl2 {

/// EXL2 as ExLlamaV2 0.3.2 reads it: rows in the order of a permutation, in groups of 2 to 8 bits
/// with a shared scale each, several widths in one layer. Options 0 to 23 are those of the table of
/// 2023, further ones the head's. docs/formats.md has the tensors and the rules.
const weights::WeightFormat& exl2_format();

}  // namespace shardquant::exl2
