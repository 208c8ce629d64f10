#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "kernels/api/kernel_error.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "tests/support/backend_test.hpp"
#include "tests/support/random_layer.hpp"

namespace shardquant::kernels {
namespace {

using oracle::Dense;
using tests::RandomLayer;

// The CUDA back end alone, against the oracle and the CPU back end, on the shapes at which its
// kernels' tiles, slabs and blocks end. On a GPU, or on the stand-in.
class CudaSweep : public testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    try {
      cuda = make_backend(DeviceKind::cuda, 1, reason);
    } catch (const BackendUnavailable& error) {
      GTEST_SKIP() << error.what();
    }
    cpu = make_backend(DeviceKind::cpu, 1, reason);
  }

  static HessianFactor factor_of(Backend& backend, const RandomLayer& layer) {
    Matrix x = backend.allocate(layer.inputs.rows, layer.inputs.cols);
    backend.upload(layer.inputs_f32(), x);
    Matrix h = backend.allocate(layer.inputs.cols, layer.inputs.cols);
    backend.fill_zero(h);
    backend.accumulate_hessian(x, 0.5f, h);
    return backend.factor_hessian(std::move(h), {});
  }

  static Matrix weight_of(Backend& backend, const RandomLayer& layer, const HessianFactor& factor) {
    const std::vector<float> weight = layer.weight_f32();
    return backend.permuted_transpose({reinterpret_cast<const std::byte*>(weight.data()),
                                       ElementType::f32, layer.weight.rows, layer.weight.cols},
                                      factor.perm);
  }

  static std::vector<WeightRecipe> recipes_of(std::int64_t rows) {
    const auto options = options_of(rows);
    return {options.begin(), options.end()};
  }

  static std::vector<std::vector<RowGroup>> options_of(std::int64_t rows) {
    std::vector<std::vector<RowGroup>> options;
    for (const exl2::QuantOption& option : exl2::exl2_2023_options()) {
      auto groups = exl2::cut_into_groups(option, rows);
      if (!groups.empty()) options.push_back(std::move(groups));
    }
    return options;
  }

  std::unique_ptr<Backend> cuda;
  std::unique_ptr<Backend> cpu;
};

double share_equal(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  std::int64_t same = 0;
  for (std::size_t i = 0; i < a.size(); ++i) same += a[i] == b[i];
  return static_cast<double>(same) / static_cast<double>(a.size());
}

TEST_F(CudaSweep, EveryNumberOfColumnsFrom1To130AgreesWithTheOracle) {
  const std::int64_t rows = 96;
  const auto options = options_of(rows);
  double equal = 0.0;
  int cases = 0;
  for (std::int64_t cols = 1; cols <= 130; ++cols) {
    const RandomLayer layer(rows + 40, rows, cols, 100 + static_cast<std::uint64_t>(cols));
    const HessianFactor factor = factor_of(*cuda, layer);
    const Matrix w = weight_of(*cuda, layer, factor);
    Dense damped = oracle::permuted(oracle::hessian(layer.inputs, 0.5), factor.perm);
    for (std::int64_t i = 0; i < rows; ++i) damped.at(i, i) += factor.damp;
    const Dense w_oracle = tests::permuted_rows(layer.weight, factor.perm);
    const auto& groups = options[static_cast<std::size_t>(cols) % options.size()];
    const QuantizedMatrix got = cuda->quantize(w, factor, groups, {});
    const oracle::Result want = oracle::left_looking_gptq(w_oracle, damped, groups, {});
    const double share = share_equal(got.codes, want.codes);
    EXPECT_GE(share, 0.97) << cols << " columns";  // one near tie of a small matrix
    EXPECT_NEAR(got.error.damped_loss / want.damped_loss, 1.0, 1e-2) << cols << " columns";
    equal += share;
    ++cases;
  }
  std::printf("%d widths, %.4f %% of codes equal to the oracle's\n", cases, 100.0 * equal / cases);
  EXPECT_GE(equal / cases, 0.999);
}

TEST_F(CudaSweep, EveryOptionAtRaggedHeightsAgreesWithTheCpu) {
  double equal = 0.0;
  int cases = 0;
  for (const std::int64_t rows : {32, 224, 256, 288, 416, 544}) {
    const RandomLayer layer(rows + 64, rows, 77, 200 + static_cast<std::uint64_t>(rows));
    const HessianFactor cuda_factor = factor_of(*cuda, layer);
    const HessianFactor cpu_factor = factor_of(*cpu, layer);
    ASSERT_EQ(cuda_factor.perm, cpu_factor.perm);
    const Matrix cuda_weight = weight_of(*cuda, layer, cuda_factor);
    const Matrix cpu_weight = weight_of(*cpu, layer, cpu_factor);
    const auto options = options_of(rows);
    const auto recipes = recipes_of(rows);
    const auto cuda_errors = cuda->measure_options(cuda_weight, cuda_factor, recipes, {}, {}, 1);
    const auto cpu_errors = cpu->measure_options(cpu_weight, cpu_factor, recipes, {}, {}, 1);
    for (std::size_t i = 0; i < options.size(); ++i) {
      SCOPED_TRACE(testing::Message() << rows << " rows, option " << i);
      EXPECT_NEAR(cuda_errors[i].damped_loss / cpu_errors[i].damped_loss, 1.0, 5e-3);
      EXPECT_NEAR(cuda_errors[i].weight_error / cpu_errors[i].weight_error, 1.0, 5e-3);
      EXPECT_EQ(cuda_errors[i].flushed_groups, cpu_errors[i].flushed_groups);
      const auto a = cuda->quantize(cuda_weight, cuda_factor, options[i], {});
      const auto b = cpu->quantize(cpu_weight, cpu_factor, options[i], {});
      equal += share_equal(a.codes, b.codes);
      ++cases;
    }
  }
  std::printf("%d cases, %.4f %% of codes equal to the CPU's\n", cases, 100.0 * equal / cases);
  EXPECT_GE(equal / cases, 0.995);
}

TEST_F(CudaSweep, RunTwiceGivesTheSameBytes) {
  const RandomLayer layer(400, 352, 300, 300);
  const auto options = options_of(352);
  const auto run = [&] {
    const HessianFactor factor = factor_of(*cuda, layer);
    const Matrix w = weight_of(*cuda, layer, factor);
    auto errors = cuda->measure_options(w, factor, recipes_of(352), {}, {}, 1);
    return std::pair(cuda->quantize(w, factor, options[17], {}), std::move(errors));
  };
  const auto [first, first_errors] = run();
  const auto [second, second_errors] = run();
  EXPECT_EQ(first.codes, second.codes);
  EXPECT_EQ(first.values, second.values);
  EXPECT_EQ(first.scale_codes, second.scale_codes);
  EXPECT_EQ(first.scale_max, second.scale_max);
  for (std::size_t i = 0; i < options.size(); ++i) {
    EXPECT_EQ(first_errors[i].damped_loss, second_errors[i].damped_loss) << i;
    EXPECT_EQ(first_errors[i].weight_error, second_errors[i].weight_error) << i;
  }
}

// 97 factors are two rounds of a search block's warps.
TEST_F(CudaSweep, ShrinkRangeOf2024AgreesWithTheOracle) {
  QuantizerSettings settings;
  settings.shrink_low = 0.70;
  settings.shrink_high = 1.20;
  settings.shrink_steps = 96;
  const RandomLayer layer(200, 128, 40, 400);
  const HessianFactor factor = factor_of(*cuda, layer);
  const Matrix w = weight_of(*cuda, layer, factor);
  Dense damped = oracle::permuted(oracle::hessian(layer.inputs, 0.5), factor.perm);
  for (std::int64_t i = 0; i < 128; ++i) damped.at(i, i) += factor.damp;
  const Dense w_oracle = tests::permuted_rows(layer.weight, factor.perm);
  for (const std::size_t option : {12u, 23u}) {
    const auto groups = exl2::cut_into_groups(exl2::exl2_2023_options()[option], 128);
    const QuantizedMatrix got = cuda->quantize(w, factor, groups, settings);
    const auto want = oracle::left_looking_gptq(w_oracle, damped, groups, settings);
    EXPECT_GE(share_equal(got.codes, want.codes), 0.995) << option;
  }
}

TEST_F(CudaSweep, GroupsThatItsKernelsCannotHoldAreRefused) {
  const RandomLayer layer(80, 64, 5, 500);
  const HessianFactor factor = factor_of(*cuda, layer);
  const Matrix w = weight_of(*cuda, layer, factor);
  const std::vector<RowGroup> odd = {{0, 16, 4}, {16, 48, 4}};
  EXPECT_THROW(cuda->quantize(w, factor, odd, {}), std::invalid_argument);
}

}  // namespace
}  // namespace shardquant::kernels
