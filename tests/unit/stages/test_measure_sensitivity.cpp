#include <gmock/gmock.h>

#include <cmath>

#include "kernels/api/half_types.hpp"
#include "pipeline/evaluation/divergence.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/stages/measure_model.hpp"
#include "pipeline/stages/measure_sensitivity.hpp"
#include "pipeline/waves/perturbed_forward.hpp"
#include "pipeline/waves/trial_weights.hpp"
#include "tests/support/naive_twin.hpp"
#include "tests/support/small_run.hpp"

namespace shardquant::tests {
namespace {

namespace fs = std::filesystem;
using oracle::Dense;

constexpr std::int64_t kPieces = 3, kTokens = 20;

class MeasureSensitivity : public testing::Test {
 protected:
  MeasureSensitivity() {
    run_.config().sensitivity.rows = kPieces;
    run_.config().sensitivity.length = kTokens;
  }

  records::Measurement measure() {
    auto measured = stages::measure_model(run_.context(), true);
    return std::move(measured.measurement);
  }

  std::int64_t files_in(const char* part) const {
    std::int64_t count = 0;
    for (const auto& file : fs::directory_iterator(run_.work().path() / part)) {
      count += file.is_regular_file();
    }
    return count;
  }

  std::vector<std::vector<std::int32_t>> pieces() const {
    std::vector<std::vector<std::int32_t>> pieces;
    std::vector<std::int32_t> row(SmallRun::kLength);
    for (const std::int64_t index : waves::sensitivity_rows(SmallRun::kRows, kPieces)) {
      run_.tokens().read_row(index, run_.model().description.vocab_size, row);
      pieces.emplace_back(row.begin(), row.begin() + kTokens);
    }
    return pieces;
  }

  Dense trial(std::int64_t layer) {
    const model::LinearLayer& info = run_.model().layer(layer);
    const kernels::Matrix weight = waves::load_trial_weight(run_.context(), run_.backend(), layer);
    Dense dense(info.outputs, info.inputs);
    std::vector<float> values(dense.values.size());
    run_.backend().download(weight, values);
    std::copy(values.begin(), values.end(), dense.values.begin());
    return dense;
  }

  // The definition: logits of both models over all tokens, in double.
  double divergence_with(const std::vector<std::int64_t>& layers) {
    const oracle::NaiveModel plain = naive_twin(run_.model().description, run_.model().folder);
    oracle::NaiveModel other = plain;
    for (const std::int64_t layer : layers) {
      other.tensors[run_.model().layer(layer).key + ".weight"] = trial(layer);
    }
    double sum = 0.0;
    for (const auto& piece : pieces()) {
      const Dense p = naive_logits(plain, piece);
      const Dense q = naive_logits(other, piece);
      for (std::int64_t t = 0; t < p.rows; ++t) {
        for (std::int64_t i = 0; i < p.cols; ++i) {
          const double log_p = -oracle::negative_log_likelihood(p, t, i);
          const double log_q = -oracle::negative_log_likelihood(q, t, i);
          sum += std::exp(log_p) * (log_p - log_q);
        }
      }
    }
    return sum / static_cast<double>(kPieces * kTokens);
  }

  SmallRun run_;
};

double err_at(const records::LayerMeasurement& layer, const std::string& desc) {
  for (const records::MeasuredOption& option : layer.options) {
    if (option.desc == desc) return option.err;
  }
  return std::nan("");
}

TEST_F(MeasureSensitivity, IsTheDivergenceWithOneLayerReplaced) {
  records::Measurement measurement = measure();
  std::vector<double> want;
  for (std::int64_t l = 0; l < 14; ++l) want.push_back(divergence_with({l}));
  stages::measure_sensitivity(run_.context(), 0.0, measurement);
  for (std::size_t l = 0; l < 14; ++l) {
    const records::LayerMeasurement& layer = measurement.layers[l];
    ASSERT_TRUE(layer.kl.has_value());
    EXPECT_NEAR(*layer.kl, want[l], 2e-4 * want[l]) << layer.key;
    const double err = err_at(layer, "1.0:3b 32g s4");
    EXPECT_DOUBLE_EQ(*layer.sensitivity, std::max(*layer.kl, 1e-7) / (err * err)) << layer.key;
  }
  EXPECT_EQ(records::read_measurement_2023(run_.work().measurement()), measurement);
}

TEST_F(MeasureSensitivity, TriesTheWeightsThatWereMeasured) {
  const records::Measurement measurement = measure();
  const oracle::NaiveModel plain = naive_twin(run_.model().description, run_.model().folder);
  std::vector<Dense> inputs;  // by Hessian group of block 0
  std::vector<double> errors(7), norms(7);
  std::vector<std::int32_t> row(SmallRun::kLength);
  for (std::int64_t r = 0; r < SmallRun::kRows; ++r) {
    run_.tokens().read_row(r, run_.model().description.vocab_size, row);
    inputs.clear();
    plain.block(plain.embed(row), 0, SmallRun::kLength, inputs);
    for (std::int64_t l = 0; l < 7; ++l) {
      const model::LinearLayer& layer = run_.model().layer(l);
      const Dense& x = inputs[static_cast<std::size_t>(layer.group)];
      const Dense y = oracle::linear(x, plain.tensor(layer.key + ".weight"));
      const Dense z = oracle::linear(x, trial(l));
      for (std::size_t i = 0; i < y.values.size(); ++i) {
        errors[static_cast<std::size_t>(l)] += std::pow(z.values[i] - y.values[i], 2);
        norms[static_cast<std::size_t>(l)] += y.values[i] * y.values[i];
      }
    }
  }
  for (std::size_t l = 0; l < 7; ++l) {
    EXPECT_NEAR(std::sqrt(errors[l] / norms[l]), err_at(measurement.layers[l], "1.0:3b 32g s4"),
                1e-4)
        << measurement.layers[l].key;
  }
}

TEST_F(MeasureSensitivity, OfAPartIsSharedByItsLayers) {
  run_.config().sensitivity.per = "part";
  records::Measurement measurement = measure();
  const double want = divergence_with({7, 8, 9, 10});
  stages::measure_sensitivity(run_.context(), 0.0, measurement);
  double sum = 0.0;
  for (std::size_t l = 7; l < 11; ++l) {
    EXPECT_GT(*measurement.layers[l].kl, 0.0) << l;
    sum += *measurement.layers[l].kl;
  }
  EXPECT_NEAR(sum, want, 2e-4 * want);
}

TEST_F(MeasureSensitivity, DoesNotDependOnWhichOthersArePassedThrough) {
  measure();
  const auto units = waves::sensitivity_units(run_.model().layout, run_.config().sensitivity);
  const waves::RunContext context = run_.context();
  const model::FolderWeights source(run_.model().layout, run_.model().tensors);
  const model::OverlaidWeights trials(source, [&](kernels::Backend& backend, std::int64_t layer) {
    return waves::load_trial_weight(context, backend, layer);
  });
  const auto found_in = [&](const std::vector<std::vector<std::int64_t>>& passes) {
    std::vector<double> kl(units.size());
    waves::PerturbedForward forward(context, units, source, trials);
    for (std::size_t p = 0; p < passes.size(); ++p) {
      const std::int64_t next =
          p + 1 < passes.size() ? units[static_cast<std::size_t>(passes[p + 1][0])].block : -1;
      EXPECT_TRUE(forward.run_pass(passes[p], next, [](double) {}));
    }
    for (const waves::UnitSensitivity& found : forward.found()) {
      kl[static_cast<std::size_t>(found.unit)] = found.kl.front();
    }
    return kl;
  };
  std::vector<std::int64_t> all(units.size());
  std::vector<std::vector<std::int64_t>> alone;
  for (std::size_t u = 0; u < units.size(); ++u) {
    all[u] = static_cast<std::int64_t>(u);
    alone.push_back({all[u]});
  }
  const std::vector<double> together = found_in({all});
  EXPECT_EQ(found_in(alone), together);
  EXPECT_EQ(found_in({{0, 1, 9}, {10, 13}})[13], together[13]);
}

TEST_F(MeasureSensitivity, KeepsNothingButWhatItFoundAndFindsItAgain) {
  records::Measurement measurement = measure();
  EXPECT_EQ(files_in("sensitivity/weights"), 14);
  stages::measure_sensitivity(run_.context(), 0.0, measurement);
  EXPECT_EQ(files_in("sensitivity"), 14);
  EXPECT_EQ(files_in("sensitivity/weights"), 0);
  EXPECT_EQ(files_in("sensitivity/copies"), 0);

  // Nothing is done again; what one layer lacks is made again, and only that.
  auto again = stages::measure_model(run_.context(), true);
  EXPECT_EQ(again.balance.items(), 0);
  fs::remove(run_.work().sensitivity(run_.model().layer(9).key));
  again = stages::measure_model(run_.context(), true);
  EXPECT_EQ(again.balance.items(), 1);
  EXPECT_EQ(files_in("sensitivity/weights"), 1);
  EXPECT_EQ(files_in("measurements"), 15) << "14 layers and the perplexity";
  stages::measure_sensitivity(run_.context(), 0.0, again.measurement);
  EXPECT_EQ(again.measurement, measurement);
}

TEST_F(MeasureSensitivity, OfOtherTokensIsAnotherOne) {
  records::Measurement measurement = measure();
  stages::measure_sensitivity(run_.context(), 0.0, measurement);
  run_.config().sensitivity.length = kTokens + 1;
  auto again = stages::measure_model(run_.context(), true);
  EXPECT_EQ(again.balance.items(), 14) << "to have the weights";
  stages::measure_sensitivity(run_.context(), 0.0, again.measurement);
  EXPECT_NE(again.measurement.layers[3].kl, measurement.layers[3].kl);
  EXPECT_NEAR(*again.measurement.layers[3].kl, *measurement.layers[3].kl,
              0.5 * *measurement.layers[3].kl);
}

TEST_F(MeasureSensitivity, IsLeftOutWhereNothingNeedsIt) {
  run_.config().sensitivity.rows = 0;
  EXPECT_EQ(run_.config().objective(), "sum_squares");
  records::Measurement measurement = measure();
  stages::measure_sensitivity(run_.context(), 0.0, measurement);
  EXPECT_FALSE(measurement.layers[0].kl.has_value());
  run_.config().sensitivity.rows = kPieces;
  run_.config().allocate.objective = "sum";
  EXPECT_EQ(measure(), measurement);
  EXPECT_EQ(files_in("sensitivity/weights"), 0);
}

TEST_F(MeasureSensitivity, RefusesAnUnknownOptionBeforeTheWork) {
  run_.config().sensitivity.option = "3 bits";
  EXPECT_THROW(stages::check_sensitivity(run_.context()), Failure);
}

}  // namespace
}  // namespace shardquant::tests
