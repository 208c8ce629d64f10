#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/cpu/quantizer/group_kernels.hpp"

namespace shardquant::kernels {
namespace {

// The inner loops of every instruction set that this machine's processor has.
std::vector<const GroupKernels*> instruction_sets() {
  __builtin_cpu_init();
  std::vector<const GroupKernels*> sets = {&kGroupKernelsBaseline};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    sets.push_back(&kGroupKernelsAvx2);
  }
  if (&select_group_kernels() == &kGroupKernelsAvx512) sets.push_back(&kGroupKernelsAvx512);
  return sets;
}

constexpr int kRows = 48;
constexpr int kCols = 32;
constexpr int kValid = 29;

std::vector<float> normal_values(std::size_t count, float size, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = size * normal(random);
  return values;
}

// A group whose rows have grids of two affine groups in turn.
struct AffineGroup {
  std::vector<float> weight = normal_values(kRows * kCols, 0.02f, 1);
  std::vector<float> corrected = normal_values(kRows * kCols, 0.02f, 2);
  std::vector<float> factor = normal_values(kRows * kRows, 0.1f, 3);
  std::vector<float> pivots = normal_values(kRows, 1.0f, 4);
  std::vector<float> scales = normal_values(2 * kCols, 0.003f, 5);
  std::vector<float> offsets = normal_values(2 * kCols, 0.02f, 6);
  std::vector<std::int32_t> group_of_row;
  std::vector<float> difference = std::vector<float>(kRows * kCols);
  std::vector<std::uint8_t> codes = std::vector<std::uint8_t>(kRows * kValid);
  std::vector<std::uint16_t> values = std::vector<std::uint16_t>(kRows * kValid);
  std::vector<float> float_values = std::vector<float>(kRows * kValid);
  SweepSums sums;

  AffineGroup(const GroupKernels& kernels, AffineForm form, ElementType type) {
    for (int r = 0; r < kRows; ++r) group_of_row.push_back(r % 2);
    if (form == AffineForm::zero) {
      for (float& offset : offsets) offset = ScalarMath::round_even(offset * 100.0f);
    }
    kernels.sweep_affine(
        {kRows, kCols, kValid},
        {factor.data(), pivots.data(), weight.data(), corrected.data(), difference.data(), kCols},
        {group_of_row.data(), scales.data(), offsets.data(), kCols, -8.0f, 7.0f, form, type},
        {codes.data(), values.data(), float_values.data(), kValid}, sums);
  }

  float stored_value(ElementType type, std::size_t at) const {
    if (type == ElementType::f32) return float_values[at];
    return type == ElementType::f16 ? to_float(Half{values[at]}) : to_float(BFloat16{values[at]});
  }
};

// A fused multiply-add must not take the rounding of a value away: what is measured is what a
// reader decodes, to the bit, with every instruction set.
TEST(GroupKernels, MeasuredDifferencesAreThoseOfTheReadersValues) {
  for (const GroupKernels* kernels : instruction_sets()) {
    for (const auto form : {AffineForm::zero, AffineForm::minimum}) {
      for (const auto type : {ElementType::f32, ElementType::f16, ElementType::bf16}) {
        SCOPED_TRACE(kernels->name);
        const AffineGroup group(*kernels, form, type);
        for (int r = 0; r < kRows; ++r) {
          for (int n = 0; n < kValid; ++n) {
            const int grid = group.group_of_row[r] * kCols + n;
            const AffineColumn<ScalarMath> column{
                group.scales[grid], group.offsets[grid], -8.0f, 7.0f, form, type};
            const auto at = static_cast<std::size_t>(r * kValid + n);
            const float value = column.value(static_cast<float>(group.codes[at]) - 8.0f);
            ASSERT_EQ(group.stored_value(type, at), value);
            ASSERT_EQ(group.difference[r * kCols + n], group.weight[r * kCols + n] - value);
          }
        }
      }
    }
  }
}

TEST(GroupKernels, InstructionSetsAgree) {
  const AffineGroup baseline(kGroupKernelsBaseline, AffineForm::zero, ElementType::bf16);
  for (const GroupKernels* kernels : instruction_sets()) {
    const AffineGroup group(*kernels, AffineForm::zero, ElementType::bf16);
    int equal = 0;
    for (std::size_t i = 0; i < group.codes.size(); ++i) {
      equal += group.codes[i] == baseline.codes[i];
    }
    EXPECT_GE(equal, kRows * kValid * 99 / 100) << kernels->name;
    EXPECT_NEAR(group.sums.damped_loss / baseline.sums.damped_loss, 1.0, 1e-2) << kernels->name;
  }
}

}  // namespace
}  // namespace shardquant::kernels
