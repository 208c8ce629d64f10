#include <gtest/gtest.h>

#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "tests/oracle/naive_gptq.hpp"
#include "tests/support/random_layer.hpp"

namespace shardquant::oracle {
namespace {

TEST(OracleGptq, CholeskyFactorsASmallMatrix) {
  Dense a(2, 2);
  a.values = {4, 2, 2, 5};
  EXPECT_EQ(cholesky(a).values, (std::vector<double>{2, 0, 1, 2}));
  const Dense r = reversed_cholesky(a);  // R R^T = a with R upper
  EXPECT_NEAR(r.at(0, 0) * r.at(0, 0) + r.at(0, 1) * r.at(0, 1), 4, 1e-15);
  EXPECT_NEAR(r.at(0, 1) * r.at(1, 1), 2, 1e-15);
  EXPECT_EQ(r.at(1, 0), 0.0);
  const Dense inverse = inverse_from_cholesky(cholesky(a));
  EXPECT_NEAR(inverse.at(0, 0), 5.0 / 16, 1e-15);
  EXPECT_NEAR(inverse.at(0, 1), -2.0 / 16, 1e-15);
}

TEST(OracleGptq, BothFormsGiveIdenticalCodesAndTheLossIsTheQuadraticForm) {
  int cases = 0;
  for (const auto rounding : {kernels::ScaleRounding::reader, kernels::ScaleRounding::exl2_2023}) {
    for (const std::size_t option : {0u, 3u, 5u, 6u, 11u, 12u, 17u, 20u, 22u, 23u}) {
      const tests::RandomLayer layer(384, 256, 24, 100 + option);
      Dense h = hessian(layer.inputs, 2.0 / 16);
      const auto perm = descending_diagonal(h);
      h = permuted(h, perm);
      double mean = 0.0;
      for (std::int64_t i = 0; i < h.rows; ++i) mean += h.at(i, i) / static_cast<double>(h.rows);
      Dense damped = h;
      for (std::int64_t i = 0; i < h.rows; ++i) damped.at(i, i) += 0.07 * mean;
      kernels::QuantizerSettings settings;
      settings.scale_rounding = rounding;
      const auto groups = exl2::cut_into_groups(exl2::exl2_2023_options()[option], h.rows);
      const Dense w = tests::permuted_rows(layer.weight, perm);

      const Result right = naive_gptq(w, damped, groups, settings);
      const Result left = left_looking_gptq(w, damped, groups, settings);
      EXPECT_EQ(left.codes, right.codes) << "option " << option;
      EXPECT_EQ(left.scale_codes, right.scale_codes);
      EXPECT_NEAR(left.damped_loss / right.damped_loss, 1.0, 1e-12);
      Dense e = w;
      for (std::size_t i = 0; i < e.values.size(); ++i) e.values[i] -= left.dequantized.values[i];
      EXPECT_NEAR(left.damped_loss / quadratic_form(e, damped), 1.0, 1e-12);
      ++cases;
    }
  }
  EXPECT_EQ(cases, 20);
}

}  // namespace
}  // namespace shardquant::oracle
