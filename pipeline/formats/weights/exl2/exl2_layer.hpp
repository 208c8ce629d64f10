#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/api/quantizer_types.hpp"
#include "pipeline/formats/tensor_info.hpp"
#include "pipeline/formats/weights/layer_shape.hpp"

namespace shardquant::exl2 {

/// Outputs rounded up to what the format stores.
constexpr std::int64_t exl2_padded_outputs(std::int64_t outputs) {
  return (outputs + 31) / 32 * 32;
}

/// Rows of 32-bit words that hold the codes of these groups: the sum of rows * bits / 32.
std::int64_t exl2_packed_rows(std::span<const kernels::RowGroup> groups);

/// The tensors of one quantized layer as they lie in the file. K = inputs, N = outputs, Np = N
/// padded, G = groups. Rows are stored in the order of the permutation.
struct Exl2Layer {
  std::string key;  ///< "model.layers.0.mlp.up_proj"
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  std::vector<kernels::RowGroup> groups;   ///< G, covering K rows
  std::vector<std::uint32_t> q_weight;     ///< [R, Np]
  std::vector<std::uint32_t> q_scale;      ///< [G, Np / 8]
  std::vector<std::uint16_t> q_scale_max;  ///< [G] fp16 bits
  std::vector<std::int16_t> q_groups;      ///< [2 G] bits and first packed row of each group
  std::vector<std::int32_t> q_invperm;     ///< [K] stored row of each input
  std::vector<std::uint16_t> bias;         ///< [Np] fp16 bits; empty without bias

  std::int64_t padded_outputs() const { return exl2_padded_outputs(outputs); }
};

/// Names, types and shapes of the tensors of a layer, in a fixed order: q_weight, q_scale,
/// q_scale_max, q_groups, q_invperm and, with has_bias, bias (docs/formats.md).
std::vector<formats::TensorSpec> exl2_tensor_specs(const std::string& key, std::int64_t inputs,
                                                   std::int64_t outputs,
                                                   std::span<const kernels::RowGroup> groups,
                                                   bool has_bias);

/// Bytes of the layer's tensors, in the order of exl2_tensor_specs; they stay those of `layer`.
std::vector<std::span<const std::byte>> exl2_tensor_bytes(const Exl2Layer& layer);

/// Packs a quantized layer. matrix: of EXL2, [K, N]; perm: [K], perm[k] = input in stored row k;
/// bias: [N] fp16 bits or empty. Padded columns decode to zero.
/// @throws Failure(internal) where sizes, groups or perm do not fit
Exl2Layer pack_exl2_layer(const weights::LayerShape& shape, const kernels::QuantizedMatrix& matrix,
                          std::span<const std::int32_t> perm,
                          std::span<const std::uint16_t> bias = {});

/// Integers of stored rows [first_row, first_row + count) of all padded columns: out [count, Np].
/// @pre first_row and count are multiples of 32
void unpack_codes(const Exl2Layer& layer, std::int64_t first_row, std::int64_t count,
                  std::span<std::uint8_t> out);

/// Rows [first, first + count) of the weight as a Hugging Face checkpoint stores it, each weight as
/// the reader rebuilds it, in fp16 after every step:
/// (q - 2^(bits-1)) * ((scale_code + 1)^2 * (scale_max / 256)). out: [count, K] fp16 bits.
/// Independent calls may run in several threads.
void decode_outputs(const Exl2Layer& layer, std::int64_t first, std::int64_t count,
                    std::span<std::uint16_t> out);

/// Groups, not all zero, that decode to zero because fp16(scale_max / 256) is zero.
std::int64_t count_flushed_groups(const Exl2Layer& layer);

}  // namespace shardquant::exl2
