#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pipeline/formats/tensor_info.hpp"
#include "pipeline/formats/weights/compressed_tensors/pack_quantized_scheme.hpp"

namespace shardquant::compressed_tensors {

/// What the names, types and shapes of a layer's tensors follow from. N = outputs, K = inputs,
/// G = groups(), P = packed_words().
struct PackQuantizedSpec {
  std::string key;  ///< module name: "model.layers.0.mlp.up_proj"
  std::int64_t outputs = 0;
  std::int64_t inputs = 0;
  PackQuantizedScheme scheme;
  formats::Dtype dtype =
      formats::Dtype::bf16;  ///< of the model and of the scales: F16, BF16 or F32

  /// Inputs with one scale.
  std::int64_t group_inputs() const { return scheme.group == 0 ? inputs : scheme.group; }
  std::int64_t groups() const { return inputs / group_inputs(); }
  /// 32-bit words of an output's codes.
  std::int64_t packed_words() const;
  /// 32-bit words of a group's zero points; 0 in a symmetric scheme.
  std::int64_t zero_words() const;
};

/// "<key>.weight_packed" I32 [N, P], "<key>.weight_scale" of the model's type [N, G],
/// "<key>.weight_shape" I64 [2] and, asymmetric, "<key>.weight_zero_point" I32
/// [ceil(N * bits / 32), G]; in this order. A bias is a tensor of the model, as it was.
std::vector<formats::TensorSpec> pack_quantized_tensors(const PackQuantizedSpec& spec);

/// Bits of those tensors on disk.
std::int64_t pack_quantized_bits(const PackQuantizedSpec& spec);

/// A quantized matrix. All integers have 2^(bits-1) added, so that they begin at 0.
struct PackQuantizedParts {
  std::span<const std::uint8_t> codes;  ///< [N, K] q + 2^(bits-1)
  std::span<const float> scales;        ///< [N, G] numbers of the model's type
  std::span<const std::uint8_t> zeros;  ///< [N, G] z + 2^(bits-1); empty in a symmetric scheme
};

/// The tensors of one layer as they lie in the file.
struct PackQuantizedLayer {
  PackQuantizedSpec spec;
  std::vector<std::uint32_t> weight_packed;      ///< [N, P] each row a stream of K codes
  std::vector<std::byte> weight_scale;           ///< [N, G] of spec.dtype
  std::vector<std::int64_t> weight_shape;        ///< N, K
  std::vector<std::uint32_t> weight_zero_point;  ///< each column a stream of N zero points
};

/// Packs a quantized matrix. @throws Failure(internal) naming the layer where the parts do not fit
/// the spec or each other, an integer does not fit its bits, or a scale is not finite or no number
/// of the model's type
PackQuantizedLayer pack_quantized_layer(const PackQuantizedSpec& spec,
                                        const PackQuantizedParts& parts);

/// Bytes of the layer's tensors, in the order of pack_quantized_tensors; they stay those of
/// `layer`.
std::vector<std::span<const std::byte>> pack_quantized_bytes(const PackQuantizedLayer& layer);

/// Codes, with 2^(bits-1) added, of outputs [first, first + count): out [count, K].
void unpack_outputs(const PackQuantizedLayer& layer, std::int64_t first, std::int64_t count,
                    std::span<std::uint8_t> out);

/// Zero points, with 2^(bits-1) added, [N, G]; all 2^(bits-1) in a symmetric scheme.
std::vector<std::uint8_t> unpack_zeros(const PackQuantizedLayer& layer);

/// Scales, [N, G].
std::vector<float> unpack_scales(const PackQuantizedLayer& layer);

/// Rows [first, first + count) of the weight as compressed-tensors' decompress gives them: q - z,
/// then times s, each in the type of the scales; out [count, K] numbers of that type. Independent
/// calls may run in several threads.
void decode_outputs(const PackQuantizedLayer& layer, std::int64_t first, std::int64_t count,
                    std::span<float> out);

}  // namespace shardquant::compressed_tensors
