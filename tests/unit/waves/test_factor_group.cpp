#include "pipeline/waves/factor_group.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "kernels/make_backend.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/weights/exl2/exl2_format.hpp"
#include "pipeline/stages/numerical_report.hpp"
#include "pipeline/waves/measure_group.hpp"
#include "tests/support/make_model.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::waves {
namespace {

using kernels::FactorMethod;
using kernels::QuantizerSettings;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kSize = 64;

using Square = std::vector<double>;  // [kSize, kSize]

Square sum_of_products(int rows, std::uint64_t seed, double damped_column = 1.0) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Square h(kSize * kSize);
  std::vector<double> x(kSize);
  for (int r = 0; r < rows; ++r) {
    for (double& value : x) value = normal(random);
    x[5] *= damped_column;
    for (std::int64_t i = 0; i < kSize; ++i) {
      for (std::int64_t j = 0; j < kSize; ++j) h[i * kSize + j] += x[i] * x[j];
    }
  }
  return h;
}

// Q diag(values) Q^T with Q a product of reflections.
Square with_eigenvalues(const std::vector<double>& values, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Square h(kSize * kSize);
  for (std::int64_t i = 0; i < kSize; ++i) h[i * (kSize + 1)] = values[i];
  const auto reflect = [&](const std::vector<double>& v, std::int64_t begin, std::int64_t step) {
    double dot = 0.0;
    for (std::int64_t k = 0; k < kSize; ++k) dot += v[k] * h[begin + k * step];
    for (std::int64_t k = 0; k < kSize; ++k) h[begin + k * step] -= 2.0 * dot * v[k];
  };
  for (int reflection = 0; reflection < 3; ++reflection) {
    std::vector<double> v(kSize);
    double norm = 0.0;
    for (double& value : v) {
      value = normal(random);
      norm += value * value;
    }
    for (double& value : v) value /= std::sqrt(norm);
    for (std::int64_t i = 0; i < kSize; ++i) reflect(v, i, kSize);
    for (std::int64_t i = 0; i < kSize; ++i) reflect(v, i * kSize, 1);
  }
  return h;
}

PackedHessian packed(const Square& h) {
  PackedHessian result(kSize);
  std::size_t at = 0;
  for (std::int64_t i = 0; i < kSize; ++i) {
    for (std::int64_t j = i; j < kSize; ++j) {
      result.values()[at++] = static_cast<float>(h[i * kSize + j]);
    }
  }
  return result;
}

class FactorGroup : public ::testing::Test {
 protected:
  FactorGroup() {
    tests::MakeModelOptions options;
    options.hidden = kSize;
    options.layers = 1;
    tests::make_model(folder_.path() / "model", options);
    model_.emplace(folder_.path() / "model");
  }

  // Factors and, with every option, quantizes random weights: no number may come out that is none.
  MeasuredLayer end_of(const Square& h, const QuantizerSettings& settings = {}) {
    std::string reason;
    const auto backend = kernels::make_backend(kernels::DeviceKind::cpu, 1, reason);
    CalibratedGroup calibrated{packed(h), {}};
    std::vector<MeasuredLayer> records;
    const weights::WeightFormat& format = exl2::exl2_format();
    const GroupUnits units = measure_units(model_->layout, model_->group(0), format);
    measure_group(*backend, *model_, calibrated, {format, settings, config::ErrNorm::pooled}, units,
                  {0, 0, units.count()}, [&](const MeasuredLayer& record) {
                    records.push_back(record);
                    return true;
                  });
    EXPECT_EQ(records.size(), 3u);
    for (const MeasuredLayer& record : records) {
      for (const double err : record.err) {
        EXPECT_TRUE(std::isnan(err) || (err >= 0.0 && err <= 1.0)) << err;
      }
    }
    const MeasuredLayer& record = records.front();
    const kernels::HessianFactor again =
        factor_group(*backend, *model_, 0, calibrated.hessian, settings);
    EXPECT_EQ(again.method, record.method) << "the quantize stage takes another step";
    EXPECT_EQ(again.damp, record.damp);
    EXPECT_EQ(again.tries, record.damping_tries);
    measured_ = records;
    return record;
  }

  std::string refusal_of(const Square& h) {
    try {
      end_of(h);
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), ExitCode::bad_data);
      return failure.what();
    }
    return "";
  }

  static QuantizerSettings hardly_damped() {
    QuantizerSettings settings;
    settings.damping = 0.0;
    settings.damping_floor = 1e-12;
    return settings;
  }

  // Of what was measured last.
  std::string summary() { return stages::numerical_summary(*model_, measured_, nullptr).front(); }

  std::vector<MeasuredLayer> measured_;

  tests::TempDirectory folder_;
  std::optional<model::SourceModel> model_;
};

// HESS-SING, one test a case.

TEST_F(FactorGroup, RankDeficientNeedsNothingButDamping) {
  const MeasuredLayer usual = end_of(sum_of_products(10, 1));
  EXPECT_EQ(usual.method, FactorMethod::fp32);
  EXPECT_EQ(usual.damping_tries, 1);
  EXPECT_THAT(summary(), HasSubstr("all 1 Hessians factored with the damping asked for"));
  // Without damping the rounding of its elements makes it indefinite in any precision.
  const MeasuredLayer bare = end_of(sum_of_products(10, 1), hardly_damped());
  EXPECT_EQ(bare.method, FactorMethod::identity);
  EXPECT_EQ(bare.damping_tries, 10);
  EXPECT_THAT(summary(), AllOf(HasSubstr("3 layer(s) rounded to nearest"),
                               HasSubstr("model.layers.0.attn_in")));
}

TEST_F(FactorGroup, ZeroHasOnlyDeadInputs) {
  const MeasuredLayer record = end_of(Square(kSize * kSize));
  EXPECT_EQ(record.method, FactorMethod::fp32);
  EXPECT_EQ(record.damping_tries, 1);
  EXPECT_EQ(record.dead_inputs, kSize);
  EXPECT_EQ(record.damp, 1e-5);
  EXPECT_THAT(summary(), HasSubstr("64 input(s) always zero"));
}

TEST_F(FactorGroup, DuplicateColumnsNeedNothingButDamping) {
  Square h = sum_of_products(200, 2);
  for (std::int64_t i = 0; i < kSize; ++i) h[i * kSize + 9] = h[i * kSize + 3];
  for (std::int64_t j = 0; j < kSize; ++j) h[9 * kSize + j] = h[3 * kSize + j];
  const MeasuredLayer record = end_of(h);
  EXPECT_EQ(record.method, FactorMethod::fp32);
  EXPECT_EQ(record.damping_tries, 1);
}

TEST_F(FactorGroup, OneDeadColumnIsCounted) {
  const MeasuredLayer record = end_of(sum_of_products(200, 3, 0.0));
  EXPECT_EQ(record.method, FactorMethod::fp32);
  EXPECT_EQ(record.damping_tries, 1);
  EXPECT_EQ(record.dead_inputs, 1);
  EXPECT_THAT(summary(), HasSubstr("1 input(s) always zero"));
  // Its zero alone would stop an undamped factorization.
  EXPECT_EQ(end_of(sum_of_products(200, 3, 0.0), hardly_damped()).method, FactorMethod::fp32);
}

TEST_F(FactorGroup, ConditionOf1e12NeedsNothingButDamping) {
  std::vector<double> values(kSize);
  for (std::int64_t i = 0; i < kSize; ++i) {
    values[i] = std::pow(10.0, -12.0 * static_cast<double>(i) / (kSize - 1));
  }
  const MeasuredLayer record = end_of(with_eigenvalues(values, 4));
  EXPECT_EQ(record.method, FactorMethod::fp32);
  EXPECT_EQ(record.damping_tries, 1);
}

TEST_F(FactorGroup, AsymmetricNoiseRaisesTheDamping) {
  Square h = sum_of_products(10, 5);
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal(0.0, 0.05);
  for (double& value : h) value += normal(random);
  QuantizerSettings settings;
  settings.damping = 0.01;
  const MeasuredLayer record = end_of(h, settings);
  EXPECT_EQ(record.method, FactorMethod::fp32);
  EXPECT_GT(record.damping_tries, 1);
  EXPECT_LE(record.damping_tries, 9);
  EXPECT_THAT(summary(), HasSubstr("1 Hessian(s) factored with more damping"));
}

TEST_F(FactorGroup, NegativeEigenvalueRaisesTheDampingOrRoundsToNearest) {
  std::vector<double> values(kSize, 1.0);
  values[kSize - 1] = -0.5;
  const MeasuredLayer small = end_of(with_eigenvalues(values, 6));
  EXPECT_EQ(small.method, FactorMethod::fp32);
  EXPECT_EQ(small.damping_tries, 4);  // 0.07 * 2^3 is the first beyond 0.5
  values[kSize - 1] = -60.0;
  const MeasuredLayer large = end_of(with_eigenvalues(values, 6));
  EXPECT_EQ(large.method, FactorMethod::identity);
  EXPECT_EQ(large.damp, 0.0);
}

TEST_F(FactorGroup, NaNIsRefusedByName) {
  for (const std::int64_t at : {std::int64_t{0}, 7 * kSize + 9}) {
    Square h = sum_of_products(200, 7);
    h[at] = std::nan("");
    EXPECT_THAT(refusal_of(h), AllOf(HasSubstr("model.layers.0.attn_in: "), HasSubstr("1 values"),
                                     HasSubstr(at == 0 ? "[0, 0]" : "[7, 9]")));
  }
}

// NUM-BIG: an outlier channel of 1e6, whose square is 1e12 times the others'.
TEST_F(FactorGroup, OutlierOfAMillionGivesFiniteErrors) {
  const MeasuredLayer record = end_of(sum_of_products(200, 9, 1e6));
  EXPECT_EQ(record.method, FactorMethod::fp32);
  EXPECT_EQ(record.damping_tries, 1);
}

// Integers that fp32 holds exactly, but definite by less than rounding in fp32 leaves of them.
TEST_F(FactorGroup, WhatFp32CannotFactorFp64Can) {
  constexpr std::int64_t kPart = 26;
  Square h(kSize * kSize);
  for (std::int64_t i = 0; i < kSize; ++i) h[i * (kSize + 1)] = 1.0;
  std::mt19937_64 random(8);
  std::vector<double> upper(kPart * kPart);
  for (std::int64_t i = 0; i < kPart; ++i) {
    upper[i * kPart + i] = 1.0;
    for (std::int64_t j = i + 1; j < kPart; ++j)
      upper[i * kPart + j] = 3.0 - static_cast<double>(random() % 7);
  }
  for (std::int64_t i = 0; i < kPart; ++i) {
    for (std::int64_t j = 0; j < kPart; ++j) {
      double sum = 0.0;
      for (std::int64_t k = 0; k < kPart; ++k) sum += upper[k * kPart + i] * upper[k * kPart + j];
      h[i * kSize + j] = sum;
    }
  }
  const MeasuredLayer record = end_of(h, hardly_damped());
  EXPECT_EQ(record.method, FactorMethod::fp64);
  EXPECT_EQ(record.damping_tries, 10);
  EXPECT_THAT(summary(), HasSubstr("1 Hessian(s) factored in fp64"));
}

TEST_F(FactorGroup, LimitOnRoundedLayersNamesGroupAndRemedy) {
  MeasuredLayer record;
  record.method = FactorMethod::identity;
  EXPECT_NO_THROW(require_rtn_allowed(*model_, 0, FactorMethod::fp64, 0));
  EXPECT_NO_THROW(require_rtn_allowed(*model_, 0, FactorMethod::identity, 3));
  std::vector<MeasuredLayer> records(3, record);
  for (std::int64_t i = 0; i < 3; ++i) records[i].layer = i;
  records.emplace_back().layer = 3;
  EXPECT_NO_THROW(stages::require_rtn_within_limit(*model_, records, 3));
  const auto expect_refused = [](const auto& check) {
    try {
      check();
      ADD_FAILURE() << "not refused";
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), ExitCode::bad_data);
      EXPECT_THAT(failure.what(),
                  AllOf(HasSubstr("model.layers.0.attn_in"),
                        HasSubstr("quantizer.max_rtn_layers allows 2"), HasSubstr("damping")));
    }
  };
  expect_refused([&] { require_rtn_allowed(*model_, 0, FactorMethod::identity, 2); });
  expect_refused([&] { stages::require_rtn_within_limit(*model_, records, 2); });
}

}  // namespace
}  // namespace shardquant::waves
