#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "kernels/api/half_types.hpp"
#include "pipeline/formats/weights/exl2/exl2_layer.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "tests/oracle/exl2_weight.hpp"
#include "tests/unit/formats/safetensors_bytes.hpp"

namespace shardquant::exl2 {
namespace {

using kernels::RowGroup;
using ::testing::HasSubstr;
using tests::outcome_of;

// docs/formats.md, bit by bit: value `row` of a group in column n.
int oracle_code(const Exl2Layer& layer, const RowGroup& group, std::int64_t first_word, int row,
                std::int64_t n) {
  int value = 0;
  for (int bit = 0; bit < group.bits; ++bit) {
    const std::int64_t place = std::int64_t{row} * group.bits + bit;
    const std::uint32_t word =
        layer.q_weight[(first_word + place / 32) * layer.padded_outputs() + n];
    value |= static_cast<int>(word >> (place % 32) & 1u) << bit;
  }
  return value;
}

struct Parts {
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  std::vector<RowGroup> groups;
  std::vector<std::uint8_t> codes;
  std::vector<std::uint8_t> scale_codes;
  std::vector<std::uint16_t> scale_max;
  std::vector<std::int32_t> perm;
  std::vector<std::uint16_t> bias;

  Exl2Layer pack() const {
    kernels::QuantizedMatrix matrix;
    matrix.groups = groups;
    matrix.codes = codes;
    matrix.scale_codes = scale_codes;
    matrix.scale_max = scale_max;
    return pack_exl2_layer({"model.layers.0.mlp.up_proj", inputs, outputs}, matrix, perm, bias);
  }
};

Parts random_parts(std::mt19937& random, std::int64_t blocks, std::int64_t outputs) {
  Parts parts;
  parts.inputs = 32 * blocks;
  parts.outputs = outputs;
  std::vector<int> widths = {8, 6, 5, 4, 3, 2};
  std::shuffle(widths.begin(), widths.end(), random);
  widths.resize(1 + random() % 3);
  std::sort(widths.rbegin(), widths.rend());
  const int size = std::array{32, 64, 128}[random() % 3];
  // The last section takes what is left; only the last group may be short.
  std::int64_t row = 0;
  for (std::size_t w = 0; w < widths.size(); ++w) {
    const bool last = w + 1 == widths.size();
    std::int64_t count = last ? INT64_MAX : 1 + random() % 3;
    for (; count > 0 && row < parts.inputs; --count) {
      const std::int64_t rows = std::min<std::int64_t>(size, parts.inputs - row);
      parts.groups.push_back({row, static_cast<int>(rows), widths[w]});
      row += rows;
    }
  }
  for (const RowGroup& group : parts.groups) {
    for (std::int64_t i = 0; i < group.rows * outputs; ++i) {
      parts.codes.push_back(static_cast<std::uint8_t>(random() & ((1u << group.bits) - 1)));
    }
    for (std::int64_t n = 0; n < outputs; ++n) {
      parts.scale_codes.push_back(static_cast<std::uint8_t>(random() & 15u));
    }
    parts.scale_max.push_back(static_cast<std::uint16_t>(random() % 0x3800));
  }
  parts.perm.resize(parts.inputs);
  std::iota(parts.perm.begin(), parts.perm.end(), 0);
  std::shuffle(parts.perm.begin(), parts.perm.end(), random);
  return parts;
}

std::vector<std::uint32_t> column_words(const Exl2Layer& layer, std::int64_t column) {
  std::vector<std::uint32_t> words;
  for (std::size_t i = column; i < layer.q_weight.size(); i += layer.padded_outputs()) {
    words.push_back(layer.q_weight[i]);
  }
  return words;
}

// EXL2-GOLD: code 7 i + 3 in row i of a column.
TEST(Exl2Golden, PackingVectors) {
  const std::vector<std::pair<int, std::vector<std::uint32_t>>> vectors = {
      {2, {0x1b1b1b1b, 0x1b1b1b1b}},
      {3, {0x53977053, 0x70539770, 0x97705397}},
      {4, {0x4d6f81a3, 0xc5e7092b, 0x4d6f81a3, 0xc5e7092b}},
      {5, {0x4dfc4543, 0x78245ba3, 0x0753617d, 0x4b276cf4, 0xe55c7066}},
      {6, {0x9f611283, 0x90bbd2d9, 0xb2579740, 0x8f201eb3, 0x9cab91d5, 0x71538703}},
      {8,
       {0x18110a03, 0x342d261f, 0x5049423b, 0x6c655e57, 0x88817a73, 0xa49d968f, 0xc0b9b2ab,
        0xdcd5cec7}}};
  for (const auto& [bits, words] : vectors) {
    Parts parts{32, 1, {{0, 32, bits}}, {}, {7}, {0x3c00}, {}, {}};
    for (int r = 0; r < 32; ++r) {
      parts.codes.push_back(static_cast<std::uint8_t>((7 * r + 3) & ((1 << bits) - 1)));
      parts.perm.push_back(r);
    }
    EXPECT_EQ(column_words(parts.pack(), 0), words) << bits;
  }
}

TEST(Exl2Golden, ScaleWord) {
  Parts parts{32, 8, {{0, 32, 4}}, std::vector<std::uint8_t>(256), {}, {0x3c00}, {}, {}};
  for (int n = 0; n < 8; ++n) parts.scale_codes.push_back(static_cast<std::uint8_t>(n));
  for (int r = 0; r < 32; ++r) parts.perm.push_back(r);
  const Exl2Layer layer = parts.pack();
  EXPECT_EQ(layer.q_scale, (std::vector<std::uint32_t>{0x76543210, 0, 0, 0}));
}

// One group of one column that holds every code of its width, decoded: [2^bits].
std::vector<std::uint16_t> decoded_column(int bits, int code, std::uint16_t scale_max) {
  Parts parts;
  parts.inputs = std::max(32, 1 << bits);
  parts.outputs = 1;
  parts.groups = {{0, static_cast<int>(parts.inputs), bits}};
  parts.scale_codes = {static_cast<std::uint8_t>(code)};
  parts.scale_max = {scale_max};
  for (int row = 0; row < parts.inputs; ++row) {
    parts.codes.push_back(static_cast<std::uint8_t>(row & ((1 << bits) - 1)));
    parts.perm.push_back(row);
  }
  std::vector<std::uint16_t> decoded(static_cast<std::size_t>(parts.inputs));
  decode_outputs(parts.pack(), 0, 1, decoded);
  decoded.resize(std::size_t{1} << bits);
  return decoded;
}

TEST(Exl2Golden, DecodedWeights) {
  EXPECT_EQ(decoded_column(4, 9, 0x224c)[13], 0x2626);
  EXPECT_EQ(decoded_column(3, 15, 0x224c)[0], 0xaa4c);
  EXPECT_EQ(decoded_column(8, 0, 0x224c)[255], 0x1e3f);
  EXPECT_EQ(decoded_column(2, 4, 0x224c)[1], 0x94eb);
}

TEST(Exl2Golden, DecodedWeightsMatchTheFormulaInDouble) {
  for (const std::uint32_t scale_max :
       {0x0000u, 0x0001u, 0x0080u, 0x00ffu, 0x0400u, 0x1234u, 0x224cu, 0x2bffu, 0x3c00u, 0x57ffu}) {
    const auto stored = static_cast<std::uint16_t>(scale_max);
    const double maximum = kernels::to_float(kernels::Half{stored});
    for (const int bits : {2, 3, 4, 5, 6, 8}) {
      for (int code = 0; code < 16; ++code) {
        const auto decoded = decoded_column(bits, code, stored);
        for (int q = 0; q < 1 << bits; ++q) {
          ASSERT_EQ(kernels::to_float(kernels::Half{decoded[q]}),
                    oracle::exl2_weight(q, bits, code, maximum))
              << scale_max << ' ' << bits << ' ' << code << ' ' << q;
        }
      }
    }
  }
}

// 8192 rows: 5 % in 8 bits and 32 rows, 10 % in 4 and the rest in 3 bits, in 128.
TEST(Exl2Golden, WorkedExample) {
  std::vector<RowGroup> groups;
  std::int64_t row = 0;
  const auto add = [&](int count, int rows, int bits) {
    for (int i = 0; i < count; ++i) {
      groups.push_back({row, rows, bits});
      row += rows;
    }
  };
  add(13, 32, 8);
  add(7, 128, 4);
  add(53, 128, 3);
  add(1, 96, 3);
  ASSERT_EQ(row, 8192);
  EXPECT_EQ(groups.size(), 74u);
  EXPECT_EQ(exl2_packed_rows(groups), 861);
  Parts parts;
  parts.inputs = 8192;
  parts.outputs = 1;
  parts.groups = groups;
  parts.codes.assign(8192, 0);
  parts.scale_codes.assign(74, 0);
  parts.scale_max.assign(74, 0x3c00);
  parts.perm.resize(8192);
  std::iota(parts.perm.begin(), parts.perm.end(), 0);
  const Exl2Layer layer = parts.pack();
  const auto pair = [&](int g) {
    return std::pair<int, int>(layer.q_groups[2 * g], layer.q_groups[2 * g + 1]);
  };
  EXPECT_EQ(pair(0), std::pair(8, 0));
  EXPECT_EQ(pair(12), std::pair(8, 96));
  EXPECT_EQ(pair(13), std::pair(4, 104));
  EXPECT_EQ(pair(19), std::pair(4, 200));
  EXPECT_EQ(pair(20), std::pair(3, 216));
  EXPECT_EQ(pair(73), std::pair(3, 852));
}

TEST(Exl2Layer, SpecsNameTypeAndShapeTheTensors) {
  const std::vector<RowGroup> groups = {{0, 64, 4}, {64, 32, 3}};
  const auto specs = exl2_tensor_specs("k", 96, 40, groups, true);
  const std::vector<formats::TensorSpec> expected = {
      {"k.q_weight", formats::Dtype::i32, {11, 64}}, {"k.q_scale", formats::Dtype::i32, {2, 8}},
      {"k.q_scale_max", formats::Dtype::f16, {2}},   {"k.q_groups", formats::Dtype::i16, {4}},
      {"k.q_invperm", formats::Dtype::i32, {96}},    {"k.bias", formats::Dtype::f16, {64}}};
  EXPECT_EQ(specs, expected);
  std::int64_t bits = 0;
  for (std::size_t i = 0; i < 5; ++i) bits += 8 * specs[i].bytes();
  EXPECT_EQ(bits, exl2::stored_bits(groups, 64));
}

TEST(Exl2Layer, BytesFitTheSpecs) {
  std::mt19937 random(3);
  Parts parts = random_parts(random, 9, 50);
  parts.bias.assign(50, 0x3c00);
  const Exl2Layer layer = parts.pack();
  const auto specs = exl2_tensor_specs(layer.key, layer.inputs, layer.outputs, layer.groups, true);
  const auto bytes = exl2_tensor_bytes(layer);
  ASSERT_EQ(specs.size(), bytes.size());
  for (std::size_t i = 0; i < specs.size(); ++i) EXPECT_EQ(std::ssize(bytes[i]), specs[i].bytes());
  EXPECT_EQ(layer.bias[49], 0x3c00);
  EXPECT_EQ(layer.bias[50], 0);
}

// EXL2-PROP: random shapes and recipes, short last groups and padded columns included.
TEST(Exl2Layer, TenThousandRandomLayersUnpackToWhatWasPacked) {
  std::mt19937 random(20230917);
  for (int trial = 0; trial < 10'000; ++trial) {
    const Parts parts = random_parts(random, 1 + random() % 12, 1 + random() % 70);
    const Exl2Layer layer = parts.pack();
    const std::int64_t padded = layer.padded_outputs();
    std::vector<std::uint8_t> codes(parts.inputs * padded);
    unpack_codes(layer, 0, parts.inputs, codes);
    std::int64_t word = 0;
    for (std::size_t g = 0; g < parts.groups.size(); ++g) {
      const RowGroup& group = parts.groups[g];
      for (int r = 0; r < group.rows; ++r) {
        const std::int64_t row = group.first_row + r;
        for (std::int64_t n = 0; n < padded; ++n) {
          const int wanted =
              n < parts.outputs ? parts.codes[row * parts.outputs + n] : 1 << (group.bits - 1);
          ASSERT_EQ(codes[row * padded + n], wanted) << trial;
        }
        const std::int64_t n = random() % parts.outputs;
        ASSERT_EQ(oracle_code(layer, group, word, r, n), parts.codes[row * parts.outputs + n]);
      }
      word += group.rows * group.bits / 32;
      for (std::int64_t n = 0; n < parts.outputs; ++n) {
        const std::uint32_t scales =
            layer.q_scale[static_cast<std::int64_t>(g) * padded / 8 + n / 8];
        ASSERT_EQ(scales >> (4 * (n % 8)) & 15u,
                  parts.scale_codes[static_cast<std::int64_t>(g) * parts.outputs + n]);
      }
    }
    for (std::size_t k = 0; k < parts.perm.size(); ++k) {
      ASSERT_EQ(layer.q_invperm[parts.perm[k]], static_cast<std::int32_t>(k));
    }
  }
}

// EXL2-REF: what is decoded is what the formula says of the codes, in the order of the inputs.
TEST(Exl2Layer, DecodesToTheFormulaWhereverAPieceBegins) {
  std::mt19937 random(11);
  for (int trial = 0; trial < 30; ++trial) {
    const Parts parts = random_parts(random, 1 + random() % 20, 1 + random() % 150);
    const Exl2Layer layer = parts.pack();
    std::vector<std::uint16_t> by_output(parts.inputs * parts.outputs);
    const std::int64_t first_part = parts.outputs / 3;
    decode_outputs(layer, 0, first_part, by_output);
    decode_outputs(layer, first_part, parts.outputs - first_part,
                   std::span(by_output).subspan(first_part * parts.inputs));
    for (std::size_t g = 0; g < parts.groups.size(); ++g) {
      const RowGroup& group = parts.groups[g];
      const double maximum = kernels::to_float(kernels::Half{parts.scale_max[g]});
      for (std::int64_t row = group.first_row; row < group.first_row + group.rows; ++row) {
        for (std::int64_t n = 0; n < parts.outputs; ++n) {
          const std::uint16_t bits = by_output[n * parts.inputs + parts.perm[row]];
          const int code = parts.scale_codes[static_cast<std::int64_t>(g) * parts.outputs + n];
          const int q = parts.codes[row * parts.outputs + n];
          ASSERT_EQ(kernels::to_float(kernels::Half{bits}),
                    oracle::exl2_weight(q, group.bits, code, maximum));
        }
      }
    }
  }
}

TEST(Exl2Layer, CountsGroupsThatTheReaderFlushesToZero) {
  Parts parts{
      96, 2, {{0, 32, 4}, {32, 32, 4}, {64, 32, 4}}, std::vector<std::uint8_t>(192, 8), {}, {},
      {}, {}};
  parts.scale_codes.assign(6, 15);
  // 2^-17 flushes, the next number above does not; the last group is all zero.
  parts.scale_max = {0x0080, 0x0081, 0x0001};
  parts.codes[5] = 9;
  parts.codes[70] = 9;
  parts.perm.resize(96);
  std::iota(parts.perm.begin(), parts.perm.end(), 0);
  EXPECT_EQ(count_flushed_groups(parts.pack()), 1);
}

TEST(Exl2Layer, PartsThatDoNotFitAreAFault) {
  std::mt19937 random(5);
  const Parts good = random_parts(random, 4, 33);
  const auto fault = [&](auto change) {
    Parts parts = good;
    change(parts);
    const auto outcome = outcome_of([&] { parts.pack(); });
    EXPECT_EQ(outcome.code, ExitCode::internal);
    return outcome.text;
  };
  EXPECT_THAT(fault([](Parts& p) { p.codes.pop_back(); }), HasSubstr("do not fit together"));
  EXPECT_THAT(fault([](Parts& p) { p.scale_max.pop_back(); }), HasSubstr("do not fit together"));
  EXPECT_THAT(fault([](Parts& p) { p.bias.assign(64, 0); }), HasSubstr("do not fit together"));
  EXPECT_THAT(fault([](Parts& p) { p.perm[3] = p.perm[4]; }), HasSubstr("no permutation"));
  EXPECT_THAT(fault([](Parts& p) { p.perm[3] = 128; }), HasSubstr("no permutation"));
  EXPECT_THAT(fault([](Parts& p) { p.scale_codes[0] = 16; }), HasSubstr("scale code 16"));
  EXPECT_THAT(fault([](Parts& p) { p.groups.back().rows -= 16; }), HasSubstr("R2"));
  EXPECT_THAT(fault([](Parts& p) {
                p.groups = {{0, 128, 4}};
                p.scale_codes.resize(33);
                p.scale_max.resize(1);
                p.codes.assign(p.codes.size(), 0);
                p.codes[100] = 16;
              }),
              HasSubstr("does not fit 4 bits"));
}

}  // namespace
}  // namespace shardquant::exl2
