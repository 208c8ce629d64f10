#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "pipeline/formats/float_elements.hpp"
#include "pipeline/formats/weights/compressed_tensors/pack_quantized_layer.hpp"

namespace shardquant::tests {

/// A quantized matrix with integers of every value and scales of both signs, zero and of many
/// sizes.
struct RandomPacked {
  compressed_tensors::PackQuantizedSpec spec;
  std::vector<std::uint8_t> codes;
  std::vector<float> scales;
  std::vector<std::uint8_t> zeros;

  RandomPacked(const compressed_tensors::PackQuantizedSpec& wanted, std::mt19937& random)
      : spec(wanted) {
    const std::uint32_t values = 1u << spec.scheme.bits;
    const auto integer = [&] { return static_cast<std::uint8_t>(random() % values); };
    std::uniform_real_distribution<float> exponent(-24.0f, 2.0f);
    codes.resize(spec.outputs * spec.inputs);
    for (std::uint8_t& code : codes) code = integer();
    scales.resize(spec.outputs * spec.groups());
    for (float& scale : scales) {
      const float sign = random() % 8 == 0 ? -1.0f : 1.0f;
      scale = random() % 64 == 0
                  ? 0.0f
                  : formats::round_to_dtype(sign * std::exp2(exponent(random)), spec.dtype);
    }
    if (!spec.scheme.symmetric) zeros.resize(scales.size());
    for (std::uint8_t& zero : zeros) zero = integer();
  }

  compressed_tensors::PackQuantizedParts parts() const { return {codes, scales, zeros}; }
  compressed_tensors::PackQuantizedLayer pack() const {
    return compressed_tensors::pack_quantized_layer(spec, parts());
  }
};

}  // namespace shardquant::tests
