#pragma once

#include "pipeline/formats/weights/weight_format.hpp"

namespace shardquant::compressed_tensors {

/// The row of compressed-tensors' `pack-quantized` (vLLM, SGLang, transformers): integers of 2, 3,
/// 4, 5, 6 and 8 bits in groups of 128, 64 or 32 inputs, one scheme for a whole layer. Symmetric
/// options alone; its with_asymmetric() has the asymmetric ones behind them.
const weights::WeightFormat& compressed_tensors_format();

}  // namespace shardquant::compressed_tensors
