#include "tests/support/family_golden.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <span>

#include "pipeline/formats/safetensors_folder.hpp"
#include "tests/support/seeded_stream.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::tests {
namespace {

std::vector<float> first_values(const formats::SafetensorsFolder& folder, const std::string& name,
                                std::int64_t count) {
  std::vector<float> values(count);
  folder.read(name, 0, std::as_writable_bytes(std::span(values)));
  return values;
}

// numpy's values, from scripts/seeded_weights.py.
TEST(FamilyGolden, WeightsAreTheOnesThatTheReferenceRanWith) {
  SeededStream random(7, "model.norm.weight");
  EXPECT_EQ(random.next(), 0x75f710d20271c00bu);
  EXPECT_EQ(random.next(), 0xd3ed3677f7e15b7fu);
  const TempDirectory scratch;
  const FamilyGolden golden = read_family_golden("llama");
  write_golden_model(scratch.path(), "llama", golden, golden.runs.front());
  const formats::SafetensorsFolder folder(scratch.path());
  EXPECT_THAT(first_values(folder, "model.norm.weight", 3),
              testing::ElementsAre(1.0177684f, 1.1175114f, 1.2168226f));
  EXPECT_THAT(first_values(folder, "model.layers.1.mlp.down_proj.weight", 3),
              testing::ElementsAre(-0.05863585f, 0.11484522f, -0.04897581f));
}

TEST(FamilyGolden, EveryFamilyIsComplete) {
  const std::vector<std::string> families = golden_families();
  EXPECT_GE(families.size(), 25u);
  for (const std::string& family : families) {
    SCOPED_TRACE(family);
    const FamilyGolden golden = read_family_golden(family);
    ASSERT_FALSE(golden.runs.empty());
    EXPECT_EQ(golden.runs.front().name, "base");
    ASSERT_EQ(golden.rows.size(), golden.positions.size());
    std::vector<std::size_t> lengths;
    for (const auto& row : golden.rows) lengths.push_back(row.size());
    EXPECT_THAT(lengths, testing::ElementsAre(1, 7, 64, 65, 200));
    for (const GoldenRun& run : golden.runs) {
      EXPECT_TRUE(nlohmann::json::accept(run.config));
      for (const float logit : run.logits) ASSERT_LE(std::abs(logit), run.range) << run.name;
    }
  }
}

// A patch that changed nothing would let a test of the variant pass without the field being read.
TEST(FamilyGolden, VariantsDifferFromTheBaseButForSpellings) {
  for (const std::string& family : golden_families()) {
    const FamilyGolden golden = read_family_golden(family);
    std::map<std::int64_t, std::int64_t> begin;  // of a row's positions in the base run
    std::int64_t at = 0;
    for (const std::int64_t row : golden.runs.front().rows) {
      begin[row] = at;
      at += std::ssize(golden.positions[row]);
    }
    for (const GoldenRun& run : std::span(golden.runs).subspan(1)) {
      double largest = 0.0;
      auto logit = run.logits.begin();
      for (const std::int64_t row : run.rows) {
        auto base = golden.runs.front().logits.begin() + begin[row] * golden.vocabulary;
        const std::int64_t count = std::ssize(golden.positions[row]) * golden.vocabulary;
        for (std::int64_t i = 0; i < count; ++i, ++logit, ++base) {
          largest = std::max(largest, std::abs(static_cast<double>(*logit) - *base));
        }
      }
      const double share = largest / run.range;
      if (run.name.starts_with("spelled")) {
        EXPECT_LT(share, 1e-5) << family << ", " << run.name;
      } else {
        EXPECT_GT(share, 1e-3) << family << ", " << run.name;
      }
    }
  }
}

}  // namespace
}  // namespace shardquant::tests
