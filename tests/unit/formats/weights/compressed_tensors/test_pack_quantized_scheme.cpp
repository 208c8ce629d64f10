#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "pipeline/formats/weights/compressed_tensors/pack_quantized_scheme.hpp"

namespace shardquant::compressed_tensors {
namespace {

using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;

bool has(const std::vector<PackQuantizedScheme>& schemes, const PackQuantizedScheme& scheme) {
  return std::find(schemes.begin(), schemes.end(), scheme) != schemes.end();
}

TEST(PackQuantizedScheme, Names) {
  EXPECT_EQ(pack_quantized_name({3, 64, true}), "w3g64s");
  EXPECT_EQ(pack_quantized_name({8, 128, false}), "w8g128a");
  EXPECT_EQ(pack_quantized_name({8, 0, true}), "w8cs");
}

TEST(PackQuantizedScheme, WideLayersHaveTheWholeTable) {
  const PackQuantizedUse use{4096, 4096};
  const auto symmetric = pack_quantized_schemes(use, false);
  EXPECT_EQ(symmetric.size(), 18u);
  EXPECT_THAT(symmetric, Each(Field(&PackQuantizedScheme::symmetric, true)));
  const auto all = pack_quantized_schemes(use, true);
  EXPECT_EQ(all.size(), 36u);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  EXPECT_FALSE(has(all, {7, 64, true}));
}

TEST(PackQuantizedScheme, GroupsDivideTheInputs) {
  const auto schemes = pack_quantized_schemes({64, 192}, true);
  EXPECT_TRUE(has(schemes, {4, 32, true}));
  EXPECT_TRUE(has(schemes, {4, 64, false}));
  EXPECT_FALSE(has(schemes, {4, 128, true}));
  EXPECT_TRUE(pack_quantized_schemes({64, 200}, true).empty());
  EXPECT_EQ(pack_quantized_fault({8, 0, true}, {64, 200}), "");
  EXPECT_THAT(pack_quantized_fault({4, 128, true}, {64, 192}), HasSubstr("multiple of 128"));
  // Two devices share the inputs of 192: 96 each.
  EXPECT_EQ(pack_quantized_fault({4, 32, true}, {64, 192, false, 1, 2}), "");
  EXPECT_THAT(pack_quantized_fault({4, 64, true}, {64, 192, false, 1, 2}),
              HasSubstr("96 inputs are no multiple of 64"));
  EXPECT_THAT(pack_quantized_fault({4, 32, true}, {64, 192, false, 1, 5}),
              HasSubstr("192 inputs are no multiple of 5"));
}

TEST(PackQuantizedScheme, ZeroPointsFillWords) {
  EXPECT_EQ(pack_quantized_fault({4, 32, false}, {8, 64}), "");
  EXPECT_EQ(pack_quantized_fault({3, 32, true}, {8, 64}), "");
  EXPECT_THAT(pack_quantized_fault({3, 32, false}, {8, 64}), HasSubstr("8 outputs of 3 bits"));
  EXPECT_EQ(pack_quantized_fault({3, 32, false}, {32, 64}), "");
  EXPECT_THAT(pack_quantized_fault({3, 32, false}, {64, 64, false, 4, 1}),
              HasSubstr("16 outputs of 3 bits"));
}

TEST(PackQuantizedScheme, ExpertsNeedGroupsAndWholeWords) {
  PackQuantizedUse expert{768, 2048, true};
  EXPECT_EQ(pack_quantized_fault({3, 64, true}, expert), "");
  EXPECT_EQ(pack_quantized_fault({4, 64, false}, expert), "");
  EXPECT_THAT(pack_quantized_fault({8, 0, true}, expert), HasSubstr("needs groups"));
  // vLLM counts 10 zero points of 3 bits to a word of an expert.
  EXPECT_THAT(pack_quantized_fault({3, 64, false}, expert), HasSubstr("multiple of 10"));
  expert.outputs = 760;
  EXPECT_THAT(pack_quantized_fault({3, 64, true}, expert), HasSubstr("760 outputs of 3 bits"));
  EXPECT_EQ(pack_quantized_fault({4, 64, true}, expert), "");
}

}  // namespace
}  // namespace shardquant::compressed_tensors
