#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "pipeline/formats/weights/compressed_tensors/pack_quantized_layer.hpp"
#include "tests/support/random_packed.hpp"
#include "tests/unit/formats/expect_refusal.hpp"

namespace shardquant::compressed_tensors {
namespace {

using tests::RandomPacked;

const std::string kKey = "model.layers.0.mlp.up_proj";

// Nearest number with that many bits of significand and that least exponent, by definition.
double round_to(double value, formats::Dtype dtype) {
  const int bits = dtype == formats::Dtype::bf16 ? 8 : dtype == formats::Dtype::f16 ? 11 : 24;
  const int least = dtype == formats::Dtype::f16 ? -14 : -126;
  if (value == 0.0) return value;
  const double quantum = std::ldexp(1.0, std::max(std::ilogb(value), least) - (bits - 1));
  return std::nearbyint(value / quantum) * quantum;
}

PackQuantizedSpec random_spec(int trial, std::mt19937& random) {
  constexpr formats::Dtype kTypes[] = {formats::Dtype::bf16, formats::Dtype::f16,
                                       formats::Dtype::f32};
  constexpr std::int64_t kGroups[] = {32, 64, 128, 0};
  PackQuantizedSpec spec{kKey, 1 + static_cast<std::int64_t>(random() % 50), 0, {}, {}};
  spec.scheme = {1 + trial % 8, kGroups[trial / 8 % 4], trial / 32 % 2 == 0};
  spec.dtype = kTypes[random() % 3];
  const auto groups = static_cast<std::int64_t>(1 + random() % 3);
  spec.inputs = spec.scheme.group == 0 ? static_cast<std::int64_t>(1 + random() % 200)
                                       : groups * spec.scheme.group;
  return spec;
}

TEST(PackQuantizedLayer, TenThousandRandomLayersOfEveryWidthAndGroupComeBack) {
  std::mt19937 random(20260622);
  for (int trial = 0; trial < 10'000; ++trial) {
    const RandomPacked matrix(random_spec(trial, random), random);
    const PackQuantizedLayer layer = matrix.pack();
    std::vector<std::uint8_t> codes(matrix.codes.size());
    unpack_outputs(layer, 0, matrix.spec.outputs, codes);
    ASSERT_EQ(codes, matrix.codes) << trial;
    ASSERT_EQ(unpack_scales(layer), matrix.scales) << trial;
    const std::vector<std::uint8_t> middle(
        matrix.scales.size(), static_cast<std::uint8_t>(1 << (matrix.spec.scheme.bits - 1)));
    ASSERT_EQ(unpack_zeros(layer), matrix.spec.scheme.symmetric ? middle : matrix.zeros) << trial;
  }
}

TEST(PackQuantizedLayer, DecodesToTheFormulaRoundedInTheTypeOfTheScales) {
  std::mt19937 random(7);
  for (int trial = 0; trial < 300; ++trial) {
    const RandomPacked matrix(random_spec(trial, random), random);
    const PackQuantizedLayer layer = matrix.pack();
    const PackQuantizedSpec& spec = matrix.spec;
    std::vector<float> values(matrix.codes.size());
    const std::int64_t first = spec.outputs / 3;
    decode_outputs(layer, 0, first, values);
    decode_outputs(layer, first, spec.outputs - first,
                   std::span(values).subspan(first * spec.inputs));
    for (std::int64_t i = 0; i < std::ssize(values); ++i) {
      const std::int64_t place =
          i / spec.inputs * spec.groups() + i % spec.inputs / spec.group_inputs();
      const int zero = spec.scheme.symmetric ? 1 << (spec.scheme.bits - 1) : matrix.zeros[place];
      const double difference = round_to(matrix.codes[i] - zero, spec.dtype);
      ASSERT_EQ(values[i], round_to(difference * matrix.scales[place], spec.dtype)) << trial;
    }
  }
}

TEST(PackQuantizedLayer, TensorsAreThoseOfTheFormat) {
  const PackQuantizedSpec symmetric{"k", 48, 100, {3, 0, true}, formats::Dtype::f16};
  EXPECT_EQ(pack_quantized_tensors(symmetric),
            (std::vector<formats::TensorSpec>{{"k.weight_packed", formats::Dtype::i32, {48, 10}},
                                              {"k.weight_scale", formats::Dtype::f16, {48, 1}},
                                              {"k.weight_shape", formats::Dtype::i64, {2}}}));
  const PackQuantizedSpec asymmetric{"k", 50, 256, {5, 64, false}, formats::Dtype::bf16};
  EXPECT_EQ(
      pack_quantized_tensors(asymmetric),
      (std::vector<formats::TensorSpec>{{"k.weight_packed", formats::Dtype::i32, {50, 40}},
                                        {"k.weight_scale", formats::Dtype::bf16, {50, 4}},
                                        {"k.weight_shape", formats::Dtype::i64, {2}},
                                        {"k.weight_zero_point", formats::Dtype::i32, {8, 4}}}));
}

// The bits an option is charged are the bytes its tensors take.
TEST(PackQuantizedLayer, BitsAreThoseOnDisk) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 128; ++trial) {
    const RandomPacked matrix(random_spec(trial, random), random);
    const PackQuantizedLayer layer = matrix.pack();
    const auto tensors = pack_quantized_tensors(matrix.spec);
    const auto bytes = pack_quantized_bytes(layer);
    ASSERT_EQ(tensors.size(), bytes.size());
    std::int64_t bits = 0;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      EXPECT_EQ(std::ssize(bytes[i]), tensors[i].bytes()) << tensors[i].name;
      bits += 8 * std::ssize(bytes[i]);
    }
    EXPECT_EQ(pack_quantized_bits(matrix.spec), bits);
  }
  // Bits per weight of a bf16 model, in groups of 64, and 128 bits for the shape.
  const auto per_weight = [](int bits, bool symmetric) {
    const PackQuantizedSpec spec{"k", 1024, 1024, {bits, 64, symmetric}, formats::Dtype::bf16};
    return static_cast<double>(pack_quantized_bits(spec) - 128) / (1024.0 * 1024.0);
  };
  EXPECT_EQ(per_weight(3, true), 3.25);
  EXPECT_EQ(per_weight(8, true), 8.25);
  EXPECT_EQ(per_weight(4, false), 4.25 + 4.0 / 64.0);
}

TEST(PackQuantizedLayer, ZeroPointsLieInStreamsDownTheOutputs) {
  const PackQuantizedSpec spec{"k", 16, 64, {5, 32, false}, formats::Dtype::f32};
  std::vector<std::uint8_t> zeros(32);
  for (int n = 0; n < 16; ++n) {
    zeros[2 * n] = static_cast<std::uint8_t>((5 * n + 1) % 32);
    zeros[2 * n + 1] = 31;
  }
  const std::vector<std::uint8_t> codes(16 * 64);
  const std::vector<float> scales(32, 1.0f);
  const PackQuantizedLayer layer = pack_quantized_layer(spec, {codes, scales, zeros});
  EXPECT_EQ(layer.weight_zero_point,
            (std::vector<std::uint32_t>{0xf5582cc1, 0xffffffff, 0xdc4dc927, 0xffffffff, 0x000061c5,
                                        0x0000ffff}));
}

TEST(PackQuantizedLayer, PartsThatDoNotFitAreAFault) {
  std::mt19937 random(5);
  const RandomPacked good({kKey, 33, 128, {4, 64, false}, formats::Dtype::bf16}, random);
  const auto expect_fault = [&](const std::string& reason, auto change) {
    RandomPacked bad = good;
    change(bad);
    tests::expect_refusal([&] { bad.pack(); }, ExitCode::internal, {kKey, reason});
  };
  const std::string misfit = "do not fit together";
  expect_fault(misfit, [](RandomPacked& m) { m.codes.pop_back(); });
  expect_fault(misfit, [](RandomPacked& m) { m.scales.pop_back(); });
  expect_fault(misfit, [](RandomPacked& m) { m.zeros.pop_back(); });
  expect_fault(misfit, [](RandomPacked& m) { m.spec.scheme.symmetric = true; });
  expect_fault("a code does not fit 4 bits", [](RandomPacked& m) { m.codes[7] = 16; });
  expect_fault("a zero point does not fit 4 bits", [](RandomPacked& m) { m.zeros[7] = 128; });
  expect_fault("w9g64a", [](RandomPacked& m) { m.spec.scheme.bits = 9; });
  expect_fault("w0g64a", [](RandomPacked& m) { m.spec.scheme.bits = 0; });
  expect_fault("w4g48a", [](RandomPacked& m) { m.spec.scheme.group = 48; });
  expect_fault("scales of I32", [](RandomPacked& m) { m.spec.dtype = formats::Dtype::i32; });
  expect_fault("is no number of BF16", [](RandomPacked& m) { m.scales[1] = 1.001f; });
  expect_fault("is no number of F16", [](RandomPacked& m) {
    m.spec.dtype = formats::Dtype::f16;
    m.scales[1] = 1e-9f;
  });
  expect_fault("is no number of BF16", [](RandomPacked& m) { m.scales[1] = INFINITY; });
  expect_fault("is no number of BF16", [](RandomPacked& m) { m.scales[1] = NAN; });
}

}  // namespace
}  // namespace shardquant::compressed_tensors
