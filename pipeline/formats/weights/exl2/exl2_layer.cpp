#include "pipeline/formats/weights/exl2/exl2_layer.hpp"

#include <algorithm>

#include "kernels/api/half_types.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/weights/exl2/exl2_rules.hpp"

namespace shardquant::exl2 {

namespace {

using kernels::Half;
using kernels::RowGroup;

// Rows are packed and unpacked in blocks: 32 codes of b bits fill b words, and by rule R2 no block
// lies in two groups.
constexpr std::int64_t kBlockRows = 32;
// Columns worked on at a time, so that a block's words stay in the first-level cache.
constexpr std::int64_t kTileColumns = 1024;
constexpr std::int64_t kScalesPerWord = 8;

// codes: 32 rows, `code_stride` apart; words: `bits` rows, `word_stride` apart, zero before.
void pack_block(const std::uint8_t* codes, std::int64_t code_stride, std::int64_t columns, int bits,
                std::uint32_t* words, std::int64_t word_stride) {
  for (int row = 0; row < kBlockRows; ++row) {
    const int place = row * bits;
    const int shift = place % 32;
    const std::uint8_t* from = codes + row * code_stride;
    std::uint32_t* word = words + place / 32 * word_stride;
    for (std::int64_t n = 0; n < columns; ++n) word[n] |= std::uint32_t{from[n]} << shift;
    if (shift + bits > 32) {
      std::uint32_t* next = word + word_stride;
      for (std::int64_t n = 0; n < columns; ++n) next[n] |= std::uint32_t{from[n]} >> (32 - shift);
    }
  }
}

// The inverse of pack_block.
void unpack_block(const std::uint32_t* words, std::int64_t word_stride, std::int64_t columns,
                  int bits, std::uint8_t* codes, std::int64_t code_stride) {
  const std::uint32_t mask = (1u << bits) - 1;
  for (int row = 0; row < kBlockRows; ++row) {
    const int place = row * bits;
    const int shift = place % 32;
    const std::uint32_t* word = words + place / 32 * word_stride;
    std::uint8_t* to = codes + row * code_stride;
    if (shift + bits > 32) {
      const std::uint32_t* next = word + word_stride;
      for (std::int64_t n = 0; n < columns; ++n) {
        to[n] = static_cast<std::uint8_t>((word[n] >> shift | next[n] << (32 - shift)) & mask);
      }
    } else {
      for (std::int64_t n = 0; n < columns; ++n) {
        to[n] = static_cast<std::uint8_t>(word[n] >> shift & mask);
      }
    }
  }
}

// Calls visit(group, first row of the block, first packed row of the block) for each block of 32
// stored rows in [first_row, first_row + count).
template <class Visit>
void for_each_block(std::span<const RowGroup> groups, std::int64_t first_row, std::int64_t count,
                    Visit visit) {
  std::int64_t packed_row = 0;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const RowGroup& group = groups[g];
    for (std::int64_t r = 0; r < group.rows; r += kBlockRows) {
      const std::int64_t row = group.first_row + r;
      if (row >= first_row && row < first_row + count) visit(g, row, packed_row);
      packed_row += group.bits;
    }
  }
}

int scale_code(const Exl2Layer& layer, std::size_t group, std::int64_t column) {
  const std::int64_t word =
      static_cast<std::int64_t>(group) * (layer.padded_outputs() / kScalesPerWord) +
      column / kScalesPerWord;
  return static_cast<int>(layer.q_scale[word] >> (4 * (column % kScalesPerWord)) & 15u);
}

// fp16(scale_max / 256): the reader scales it down so that the square of a code fits beside it.
float scaled_maximum(std::uint16_t scale_max) {
  return kernels::round_to_half(kernels::to_float(Half{scale_max}) * (1.0f / 256.0f));
}

float column_scale(int code, float maximum) {
  const int root = code + 1;
  return kernels::round_to_half(static_cast<float>(root * root) * maximum);
}

// The product of an 8-bit integer and an fp16 number is exact in fp32, so this rounds once.
std::uint16_t scaled_integer(int q, int bits, float scale) {
  return kernels::to_half(static_cast<float>(q - (1 << (bits - 1))) * scale).bits;
}

// fp16 bits of a block of 32 stored rows and columns [first, first + columns), out [32,
// out_stride].
class BlockDecoder {
 public:
  BlockDecoder(const Exl2Layer& layer, std::int64_t first, std::int64_t columns)
      : layer_(layer),
        first_(first),
        columns_(columns),
        codes_(kBlockRows * columns),
        scales_(columns) {}

  void decode(std::size_t group, std::int64_t packed_row, std::uint16_t* out,
              std::int64_t out_stride) {
    if (group != scales_group_) load_scales(group);
    const int bits = layer_.groups[group].bits;
    const std::int64_t word_stride = layer_.padded_outputs();
    unpack_block(layer_.q_weight.data() + packed_row * word_stride + first_, word_stride, columns_,
                 bits, codes_.data(), columns_);
    const float* scales = scales_.data();
    const std::int64_t columns = columns_;
    for (std::int64_t row = 0; row < kBlockRows; ++row) {
      const std::uint8_t* from = codes_.data() + row * columns;
      std::uint16_t* to = out + row * out_stride;
      for (std::int64_t n = 0; n < columns; ++n) to[n] = scaled_integer(from[n], bits, scales[n]);
    }
  }

 private:
  void load_scales(std::size_t group) {
    const float maximum = scaled_maximum(layer_.q_scale_max[group]);
    for (std::int64_t n = 0; n < columns_; ++n) {
      scales_[n] = column_scale(scale_code(layer_, group, first_ + n), maximum);
    }
    scales_group_ = group;
  }

  const Exl2Layer& layer_;
  std::int64_t first_;
  std::int64_t columns_;
  std::vector<std::uint8_t> codes_;
  std::vector<float> scales_;
  std::size_t scales_group_ = SIZE_MAX;
};

[[noreturn]] void refuse(const std::string& key, std::string_view reason) {
  fail(ExitCode::internal, "layer {}: {}", key, reason);
}

std::vector<std::int32_t> invert_permutation(const std::string& key,
                                             std::span<const std::int32_t> perm) {
  std::vector<std::int32_t> inverse(perm.size(), -1);
  for (std::size_t k = 0; k < perm.size(); ++k) {
    const std::int32_t input = perm[k];
    if (input < 0 || input >= std::ssize(perm) || inverse[input] != -1) {
      refuse(key, fmt::format("the row order is no permutation (place {})", k));
    }
    inverse[input] = static_cast<std::int32_t>(k);
  }
  return inverse;
}

void pack_codes(Exl2Layer& layer, std::span<const std::uint8_t> codes) {
  const std::int64_t outputs = layer.outputs;
  const std::int64_t padded = layer.padded_outputs();
  layer.q_weight.assign(exl2_packed_rows(layer.groups) * padded, 0);
  for_each_block(
      layer.groups, 0, layer.inputs, [&](std::size_t g, std::int64_t row, std::int64_t packed_row) {
        const int bits = layer.groups[g].bits;
        const std::uint8_t* from = codes.data() + row * outputs;
        unsigned all = 0;
        for (std::int64_t i = 0; i < kBlockRows * outputs; ++i) all |= from[i];
        if (all >> bits != 0) {
          refuse(layer.key,
                 fmt::format("a code of rows {} to {} does not fit {} bits", row, row + 31, bits));
        }
        std::uint32_t* words = layer.q_weight.data() + packed_row * padded;
        for (std::int64_t n = 0; n < outputs; n += kTileColumns) {
          pack_block(from + n, outputs, std::min(kTileColumns, outputs - n), bits, words + n,
                     padded);
        }
        if (padded > outputs) {
          const std::vector<std::uint8_t> zeros(kBlockRows * kBlockRows,
                                                static_cast<std::uint8_t>(1 << (bits - 1)));
          pack_block(zeros.data(), kBlockRows, padded - outputs, bits, words + outputs, padded);
        }
      });
}

void pack_scale_codes(Exl2Layer& layer, std::span<const std::uint8_t> scale_codes) {
  const std::int64_t words_per_group = layer.padded_outputs() / kScalesPerWord;
  layer.q_scale.assign(std::ssize(layer.groups) * words_per_group, 0);
  for (std::int64_t g = 0; g < std::ssize(layer.groups); ++g) {
    for (std::int64_t n = 0; n < layer.outputs; ++n) {
      const std::uint32_t code = scale_codes[g * layer.outputs + n];
      if (code > 15) refuse(layer.key, fmt::format("scale code {} of group {}", code, g));
      layer.q_scale[g * words_per_group + n / kScalesPerWord] |= code << (4 * (n % kScalesPerWord));
    }
  }
}

}  // namespace

std::int64_t exl2_packed_rows(std::span<const RowGroup> groups) {
  std::int64_t rows = 0;
  for (const RowGroup& group : groups) rows += std::int64_t{group.rows} * group.bits / 32;
  return rows;
}

std::vector<formats::TensorSpec> exl2_tensor_specs(const std::string& key, std::int64_t inputs,
                                                   std::int64_t outputs,
                                                   std::span<const RowGroup> groups,
                                                   bool has_bias) {
  const std::int64_t padded = exl2_padded_outputs(outputs);
  const std::int64_t count = std::ssize(groups);
  std::vector<formats::TensorSpec> specs = {
      {key + ".q_weight", formats::Dtype::i32, {exl2_packed_rows(groups), padded}},
      {key + ".q_scale", formats::Dtype::i32, {count, padded / kScalesPerWord}},
      {key + ".q_scale_max", formats::Dtype::f16, {count}},
      {key + ".q_groups", formats::Dtype::i16, {2 * count}},
      {key + ".q_invperm", formats::Dtype::i32, {inputs}},
  };
  if (has_bias) specs.push_back({key + ".bias", formats::Dtype::f16, {padded}});
  return specs;
}

std::vector<std::span<const std::byte>> exl2_tensor_bytes(const Exl2Layer& layer) {
  std::vector<std::span<const std::byte>> bytes = {
      std::as_bytes(std::span(layer.q_weight)), std::as_bytes(std::span(layer.q_scale)),
      std::as_bytes(std::span(layer.q_scale_max)), std::as_bytes(std::span(layer.q_groups)),
      std::as_bytes(std::span(layer.q_invperm))};
  if (!layer.bias.empty()) bytes.push_back(std::as_bytes(std::span(layer.bias)));
  return bytes;
}

Exl2Layer pack_exl2_layer(const weights::LayerShape& shape, const kernels::QuantizedMatrix& matrix,
                          std::span<const std::int32_t> perm, std::span<const std::uint16_t> bias) {
  const std::int64_t inputs = shape.inputs;
  const std::int64_t outputs = shape.outputs;
  require_storable(shape.key, inputs, matrix.groups);
  if (outputs < 1 || std::ssize(matrix.codes) != inputs * outputs ||
      std::ssize(matrix.scale_codes) != std::ssize(matrix.groups) * outputs ||
      matrix.scale_max.size() != matrix.groups.size() || std::ssize(perm) != inputs ||
      (!bias.empty() && std::ssize(bias) != outputs)) {
    refuse(shape.key, "the parts of the quantized matrix do not fit together");
  }
  Exl2Layer layer;
  layer.key = shape.key;
  layer.inputs = inputs;
  layer.outputs = outputs;
  layer.groups = matrix.groups;
  pack_codes(layer, matrix.codes);
  pack_scale_codes(layer, matrix.scale_codes);
  layer.q_scale_max = matrix.scale_max;
  std::int64_t packed_row = 0;
  for (const RowGroup& group : layer.groups) {
    layer.q_groups.push_back(static_cast<std::int16_t>(group.bits));
    layer.q_groups.push_back(static_cast<std::int16_t>(packed_row));
    packed_row += std::int64_t{group.rows} * group.bits / 32;
  }
  layer.q_invperm = invert_permutation(shape.key, perm);
  layer.bias.assign(bias.begin(), bias.end());
  if (!bias.empty()) layer.bias.resize(layer.padded_outputs(), 0);
  return layer;
}

void unpack_codes(const Exl2Layer& layer, std::int64_t first_row, std::int64_t count,
                  std::span<std::uint8_t> out) {
  const std::int64_t padded = layer.padded_outputs();
  for_each_block(layer.groups, first_row, count,
                 [&](std::size_t g, std::int64_t row, std::int64_t packed_row) {
                   unpack_block(layer.q_weight.data() + packed_row * padded, padded, padded,
                                layer.groups[g].bits, out.data() + (row - first_row) * padded,
                                padded);
                 });
}

void decode_outputs(const Exl2Layer& layer, std::int64_t first, std::int64_t count,
                    std::span<std::uint16_t> out) {
  constexpr std::int64_t kColumns = 64;
  std::vector<std::uint16_t> tile(layer.inputs * kColumns);
  for (std::int64_t n = 0; n < count; n += kColumns) {
    const std::int64_t columns = std::min(kColumns, count - n);
    BlockDecoder decoder(layer, first + n, columns);
    for_each_block(layer.groups, 0, layer.inputs,
                   [&](std::size_t g, std::int64_t row, std::int64_t packed_row) {
                     decoder.decode(g, packed_row, tile.data() + row * columns, columns);
                   });
    // The rows of a piece of the inputs stay in the first-level cache for all columns.
    for (std::int64_t begin = 0; begin < layer.inputs; begin += kBlockRows) {
      for (std::int64_t column = 0; column < columns; ++column) {
        std::uint16_t* to = out.data() + (n + column) * layer.inputs;
        for (std::int64_t i = begin; i < begin + kBlockRows; ++i) {
          to[i] = tile[layer.q_invperm[i] * columns + column];
        }
      }
    }
  }
}

std::int64_t count_flushed_groups(const Exl2Layer& layer) {
  const std::int64_t padded = layer.padded_outputs();
  std::vector<bool> nonzero(layer.groups.size());
  std::vector<std::uint8_t> codes(kBlockRows * padded);
  for_each_block(
      layer.groups, 0, layer.inputs, [&](std::size_t g, std::int64_t, std::int64_t packed_row) {
        if (nonzero[g] || scaled_maximum(layer.q_scale_max[g]) != 0.0f) return;
        const int bits = layer.groups[g].bits;
        unpack_block(layer.q_weight.data() + packed_row * padded, padded, padded, bits,
                     codes.data(), padded);
        nonzero[g] = std::any_of(codes.begin(), codes.end(),
                                 [bits](std::uint8_t q) { return q != 1 << (bits - 1); });
      });
  return std::count(nonzero.begin(), nonzero.end(), true);
}

}  // namespace shardquant::exl2
