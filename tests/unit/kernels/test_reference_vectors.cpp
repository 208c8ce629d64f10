#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "kernels/api/half_types.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "tests/support/backend_test.hpp"
#include "tests/support/npz_file.hpp"
#include "tests/support/shared_data.hpp"

namespace shardquant::kernels {
namespace {

// The vectors of ../shared/reference: K = 512, N = 384, T = 1024 in 16 rows, variant 9e55e44
// (damping 0.07, floor 1e-5), made by an independent torch implementation.
class ReferenceVectors : public tests::BackendTest {};

std::vector<float> halves_to_floats(const tests::NpyArray& array) {
  std::vector<float> values(array.bytes.size() / 2);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = to_float(Half{array.as<std::uint16_t>()[i]});
  return values;
}

TEST_P(ReferenceVectors, HessianPermutationCodesAndErrorsOfAllOptions) {
  SKIP_WITHOUT_SHARED("reference/ref_vectors.npz");
  const tests::NpzFile npz(tests::shared_path("reference/ref_vectors.npz"));
  const auto json =
      nlohmann::json::parse(std::ifstream(tests::shared_path("reference/ref_vectors.json")));
  const auto& variant = json.at("9e55e44");
  constexpr std::int64_t k = 512, n = 384, tokens = 1024, rows = 16;

  const Matrix x = on_device(tokens, k, halves_to_floats(npz.read("X")));
  Matrix h = backend->allocate(k, k);
  backend->fill_zero(h);
  backend->accumulate_hessian(x, 2.0f / rows, h);
  const std::vector<float> scaled = to_host(h);
  double worst_diagonal = 0.0;
  for (std::int64_t i = 0; i < k; ++i) {
    const double want = json.at("H_diag_f64")[i];
    worst_diagonal = std::max(worst_diagonal, std::abs(scaled[i * (k + 1)] / want - 1.0));
  }
  EXPECT_LE(worst_diagonal, 1e-5);

  QuantizerSettings settings;
  settings.scale_rounding = ScaleRounding::exl2_2023;
  const HessianFactor factor = backend->factor_hessian(std::move(h), settings);
  EXPECT_EQ(factor.perm, json.at("perm").get<std::vector<std::int32_t>>());
  EXPECT_NEAR(factor.damp / variant.at("damp_f64").get<double>(), 1.0, 1e-5);

  const std::vector<float> w_rows = halves_to_floats(npz.read("W"));  // [K, N], inputs first
  std::vector<float> w_hf(w_rows.size());
  for (std::int64_t i = 0; i < k; ++i) {
    for (std::int64_t j = 0; j < n; ++j) w_hf[j * k + i] = w_rows[i * n + j];
  }
  const Matrix w = backend->permuted_transpose(
      {reinterpret_cast<const std::byte*>(w_hf.data()), ElementType::f32, n, k}, factor.perm);
  const WeightNorms norms = backend->weight_norms(w, factor, {}, 1);
  const tests::NpyArray codes = npz.read("qweight_fp32_9e55e44");
  ASSERT_EQ(codes.shape, (std::vector<std::int64_t>{24, k, n}));

  double least_agreement = 1.0;
  double worst_error = 0.0;
  for (std::size_t i = 0; i < exl2::exl2_2023_options().size(); ++i) {
    const exl2::QuantOption& option = exl2::exl2_2023_options()[i];
    const auto& reference = variant.at("options")[i];
    ASSERT_EQ(reference.at("desc").get<std::string>(), exl2::describe(option));
    const auto groups = exl2::cut_into_groups(option, k);
    EXPECT_EQ(exl2::measured_bits(groups, n), reference.at("total_bits").get<std::int64_t>());
    const QuantizedMatrix got = backend->quantize(w, factor, groups, settings);
    std::int64_t same = 0;
    for (std::int64_t j = 0; j < k * n; ++j) {
      same += got.codes[j] == codes.bytes[static_cast<std::int64_t>(i) * k * n + j];
    }
    const double agreement = static_cast<double>(same) / static_cast<double>(k * n);
    const double err = std::sqrt(got.error.loss(factor.damp) / norms.output(factor.damp));
    const double want = reference.at("err_pooled_closed_form_f64");
    const double error = std::abs(err / want - 1.0);
    std::printf("%-30s codes equal %8.4f %%   err %.6f reference %.6f (%+.4f %%)\n",
                exl2::describe(option).c_str(), 100 * agreement, err, want, 100 * (err / want - 1));
    EXPECT_TRUE(agreement >= 0.995 || error <= 1e-3) << exl2::describe(option);
    EXPECT_LE(error, 1e-3) << exl2::describe(option);
    least_agreement = std::min(least_agreement, agreement);
    worst_error = std::max(worst_error, error);
  }
  std::printf("least agreement %.4f %%, worst error %.5f %%, H diagonal %.2e\n",
              100 * least_agreement, 100 * worst_error, worst_diagonal);
}

INSTANTIATE_FOR_BACKENDS(ReferenceVectors);

}  // namespace
}  // namespace shardquant::kernels
