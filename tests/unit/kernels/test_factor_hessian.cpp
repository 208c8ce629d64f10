#include <gtest/gtest.h>

#include <cmath>

#include "kernels/api/kernel_error.hpp"
#include "tests/support/backend_test.hpp"
#include "tests/support/random_layer.hpp"

namespace shardquant::kernels {
namespace {

using oracle::Dense;
using tests::RandomLayer;

class FactorHessian : public tests::BackendTest {
 protected:
  Matrix hessian_of(Backend& device, const RandomLayer& layer, double scale) {
    Matrix x = on_device(layer.inputs.rows, layer.inputs.cols, layer.inputs_f32());
    Matrix h = device.allocate(layer.inputs.cols, layer.inputs.cols);
    device.fill_zero(h);
    device.accumulate_hessian(x, static_cast<float>(scale), h);
    return h;
  }

  // R R^T = H[perm, perm] + damp I, R from the unit factor and its pivots.
  void expect_factor_of(const HessianFactor& factor, const Dense& permuted) {
    const std::int64_t k = permuted.rows;
    const std::vector<float> a = to_host(factor.unit_factor);
    const auto r = [&](std::int64_t i, std::int64_t j) -> double {
      return (i == j ? 1.0 : static_cast<double>(a[i * k + j])) * factor.pivots[j];
    };
    for (std::int64_t i = 0; i < k; ++i) {
      for (std::int64_t j = i; j < k; ++j) {
        double sum = 0.0;
        for (std::int64_t m = j; m < k; ++m) sum += r(i, m) * r(j, m);
        const double damped = permuted.at(i, j) + (i == j ? factor.damp : 0.0);
        const double size = std::sqrt(permuted.at(i, i) * permuted.at(j, j)) + factor.damp;
        ASSERT_NEAR(sum, damped, 4e-6 * size) << i << ' ' << j;
      }
    }
  }
};

TEST_P(FactorHessian, HessianEqualsTheSumOfProducts) {
  for (const std::int64_t k : {1, 7, 33, 130, 1100}) {
    const RandomLayer layer(61, k, 1, 5);
    const Matrix h = hessian_of(*backend, layer, 1.0);
    const std::vector<float> got = to_host(h);
    const Dense expected = oracle::hessian(layer.inputs, 1.0);
    for (std::int64_t i = 0; i < k; ++i) {
      for (std::int64_t j = i; j < k; ++j) {
        const double size = std::sqrt(expected.at(i, i) * expected.at(j, j));
        ASSERT_NEAR(got[i * k + j], expected.at(i, j), 61 * 1.2e-7 * size) << i << ' ' << j;
      }
      for (std::int64_t j = 0; j < i; ++j) ASSERT_EQ(got[i * k + j], 0.0f);
    }
  }
}

TEST_P(FactorHessian, FactorReproducesTheDampedHessian) {
  for (const std::int64_t k : {32, 96, 320}) {
    const RandomLayer layer(2 * k, k, 1, 6);
    const Dense h = oracle::hessian(layer.inputs, 0.25);
    double mean = 0.0;
    for (std::int64_t i = 0; i < k; ++i) mean += h.at(i, i) / static_cast<double>(k);
    for (const auto method : {FactorMethod::fp32, FactorMethod::fp64}) {
      const bool wide = method == FactorMethod::fp64;
      QuantizerSettings settings;
      settings.factor_method = method;
      const HessianFactor factor =
          backend->factor_hessian(hessian_of(*backend, layer, 0.25), settings);
      const Dense permuted = oracle::permuted(h, factor.perm);
      for (std::int64_t i = 1; i < k; ++i) {
        EXPECT_GE(permuted.at(i - 1, i - 1), permuted.at(i, i) * (1 - 1e-6));
      }
      EXPECT_NEAR(factor.damp / ((wide ? 256 : 1) * 0.07 * mean), 1.0, 1e-6);
      EXPECT_EQ(factor.tries, wide ? 10 : 1);
      EXPECT_EQ(factor.method, method);
      expect_factor_of(factor, permuted);
    }
  }
}

TEST_P(FactorHessian, RefusesAHessianThatHoldsNaNNamingThePlace) {
  for (const float wrong : {NAN, INFINITY}) {
    for (const int at : {3 * 33, 5 * 32 + 9}) {
      std::vector<float> values(32 * 32);
      for (int i = 0; i < 32; ++i) values[i * 33] = 1.0f;
      values[at] = wrong;
      try {
        backend->factor_hessian(on_device(32, 32, values), {});
        ADD_FAILURE() << "accepted " << wrong << " at " << at;
      } catch (const NotPositiveDefinite&) {
        ADD_FAILURE() << "another method cannot help";
      } catch (const NumericalError& error) {
        const std::string place =
            "[" + std::to_string(at / 32) + ", " + std::to_string(at % 32) + "]";
        EXPECT_NE(std::string(error.what()).find("1 values"), std::string::npos) << error.what();
        EXPECT_NE(std::string(error.what()).find(place), std::string::npos) << error.what();
      }
    }
  }
}

// Indefinite until 1 + damp is greater than the one pair off the diagonal.
std::vector<float> indefinite(float pair) {
  std::vector<float> values(32 * 32);
  for (int i = 0; i < 32; ++i) values[i * 33] = 1.0f;
  values[1] = pair;
  return values;
}

TEST_P(FactorHessian, DoublesTheDampingUntilTheHessianFactors) {
  const HessianFactor third = backend->factor_hessian(on_device(32, 32, indefinite(1.2f)), {});
  EXPECT_EQ(third.tries, 3);
  EXPECT_NEAR(third.damp, 0.28, 1e-9);
  const HessianFactor last = backend->factor_hessian(on_device(32, 32, indefinite(18.0f)), {});
  EXPECT_EQ(last.tries, 9);
  EXPECT_NEAR(last.damp, 17.92, 1e-9);
  EXPECT_EQ(last.method, FactorMethod::fp32);

  QuantizerSettings settings;
  for (const auto method : {FactorMethod::fp32, FactorMethod::fp64}) {
    settings.factor_method = method;
    EXPECT_THROW(backend->factor_hessian(on_device(32, 32, indefinite(20.0f)), settings),
                 NotPositiveDefinite);
  }
  settings.factor_method = FactorMethod::identity;
  const HessianFactor none =
      backend->factor_hessian(on_device(32, 32, indefinite(20.0f)), settings);
  EXPECT_EQ(none.tries, 10);
  EXPECT_EQ(none.damp, 0.0);
  std::vector<float> identity(32 * 32);
  for (int i = 0; i < 32; ++i) identity[i * 33] = 1.0f;
  EXPECT_EQ(to_host(none.unit_factor), identity);
  EXPECT_EQ(none.pivots, std::vector<float>(32, 1.0f));
}

INSTANTIATE_FOR_BACKENDS(FactorHessian);

}  // namespace
}  // namespace shardquant::kernels
