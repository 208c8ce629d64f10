#include <gmock/gmock.h>

#include <map>

#include "pipeline/evaluation/evaluate_rows.hpp"
#include "pipeline/model/run_block.hpp"
#include "pipeline/model/run_head.hpp"
#include "pipeline/waves/calibrate.hpp"
#include "pipeline/waves/group_state.hpp"
#include "tests/support/small_run.hpp"

namespace shardquant::tests {
namespace {

using waves::CalibratedGroup;
using waves::GroupPart;

/// The model with one weight of all zeros.
class OneLayerOff final : public model::WeightSource {
 public:
  OneLayerOff(const model::WeightSource& base, std::int64_t layer) : base_(base), layer_(layer) {}

  kernels::Matrix weight(kernels::Backend& backend, std::int64_t layer) const override {
    kernels::Matrix matrix = base_.weight(backend, layer);
    if (layer == layer_) backend.fill_zero(matrix);
    return matrix;
  }
  kernels::Matrix bias(kernels::Backend& backend, std::int64_t layer) const override {
    return base_.bias(backend, layer);
  }
  kernels::Matrix norm(kernels::Backend& backend, const std::string& name) const override {
    return base_.norm(backend, name);
  }
  void embedding_row(std::int32_t token, std::span<float> out) const override {
    base_.embedding_row(token, out);
  }

 private:
  const model::WeightSource& base_;
  std::int64_t layer_;
};

struct Calibrated {
  std::map<std::int64_t, std::vector<float>> hessians;  // by group, packed
  std::vector<std::int64_t> order;                      // in which the groups came
  std::optional<double> perplexity;
};

Calibrated calibrate(SmallRun& run, const model::WeightSource& source,
                     const std::vector<bool>& wanted, bool keep = false) {
  const waves::RunContext context = run.context();
  const auto units = [&](const model::HessianGroup& group) {
    return waves::measure_units(context.model.layout, group, context.format);
  };
  waves::CalibrationRequest request{source, {wanted, units, true}};
  request.perplexity = true;
  request.keep_hessians = keep;
  Calibrated found;
  found.perplexity = waves::calibrate(
      context, request, [&](const GroupPart& part, const CalibratedGroup& calibrated) {
        const auto values = calibrated.hessian.values();
        found.order.push_back(part.group);
        found.hessians[part.group].assign(values.begin(), values.end());
        return true;
      });
  return found;
}

model::FolderWeights weights_of(const SmallRun& run) {
  return {run.model().layout, run.model().tensors};
}

// 2 X^T X / rows in double, from the inputs that single rows have.
std::map<std::int64_t, std::vector<double>> naive_hessians(SmallRun& run,
                                                           const model::WeightSource& source) {
  const model::SourceModel& model = run.model();
  kernels::Backend& backend = run.backend();
  std::map<std::int64_t, std::vector<double>> sums;
  const auto add = [&](std::int64_t group, kernels::ConstMatrixView x) {
    std::vector<float> host(static_cast<std::size_t>(x.size()));
    backend.download(x, host);
    std::vector<double>& sum = sums[group];
    sum.resize(static_cast<std::size_t>(x.cols * (x.cols + 1) / 2));
    for (std::int64_t t = 0; t < x.rows; ++t) {
      const float* row = host.data() + t * x.cols;
      std::size_t at = 0;
      for (std::int64_t i = 0; i < x.cols; ++i) {
        for (std::int64_t j = i; j < x.cols; ++j) {
          sum[at++] += 2.0 * row[i] * row[j] / static_cast<double>(SmallRun::kRows);
        }
      }
    }
  };
  model::BlockWorkspace workspace(backend, model.layout, SmallRun::kLength, SmallRun::kLength);
  for (std::int64_t row = 0; row < SmallRun::kRows; ++row) {
    std::vector<std::int32_t> tokens(SmallRun::kLength);
    run.tokens().read_row(row, model.description.vocab_size, tokens);
    kernels::Matrix hidden = backend.allocate(SmallRun::kLength, model.description.hidden_size);
    model::embed_tokens(backend, {model.description, model.layout, source}, tokens, hidden);
    for (std::int64_t block = 0; block < model.description.layers; ++block) {
      const auto weights = model::load_block_weights(backend, source, model.layout, block);
      model::run_block(backend, weights, model.description, hidden, workspace, add);
    }
    model::run_head(backend, model::load_head_weights(backend, source, model.layout),
                    model.description, hidden, {}, {},
                    [&](kernels::ConstMatrixView x) { add(model.layout.head_group, x); });
  }
  return sums;
}

void expect_hessians(const Calibrated& found,
                     const std::map<std::int64_t, std::vector<double>>& want) {
  ASSERT_EQ(found.hessians.size(), want.size());
  for (const auto& [group, expected] : want) {
    const std::vector<float>& hessian = found.hessians.at(group);
    ASSERT_EQ(hessian.size(), expected.size());
    const double scale = *std::max_element(expected.begin(), expected.end());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(hessian[i], expected[i], 1e-5 * scale) << "group " << group << ", " << i;
    }
  }
}

TEST(Calibrate, YieldsEveryGroupsHessianOnceAndTheRowsPerplexity) {
  SmallRun run;
  const model::FolderWeights weights = weights_of(run);
  const std::vector<bool> all(run.model().layout.groups.size(), true);
  const Calibrated found = calibrate(run, weights, all);
  EXPECT_THAT(found.order, testing::ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8));
  expect_hessians(found, naive_hessians(run, weights));

  const auto losses = evaluation::evaluate_rows(
      run.backend(), {run.model().description, run.model().layout, weights}, run.tokens(),
      {0, SmallRun::kRows, SmallRun::kLength});
  ASSERT_TRUE(found.perplexity.has_value());
  EXPECT_NEAR(*found.perplexity, evaluation::perplexity(losses), 1e-6 * *found.perplexity);
}

TEST(Calibrate, YieldsOnlyWhatIsWanted) {
  SmallRun run;
  std::vector<bool> wanted(run.model().layout.groups.size());
  wanted[5] = wanted[2] = true;
  const Calibrated found = calibrate(run, weights_of(run), wanted);
  EXPECT_THAT(found.order, testing::ElementsAre(2, 5));
}

TEST(Calibrate, ForwardsWithTheWeightsItIsGiven) {
  SmallRun run;
  const model::FolderWeights weights = weights_of(run);
  const std::int64_t down = 6;  // of the first block
  ASSERT_EQ(run.model().layer(down).key, "model.layers.0.mlp.down_proj");
  const OneLayerOff other(weights, down);
  const std::vector<bool> all(run.model().layout.groups.size(), true);
  const Calibrated plain = calibrate(run, weights, all);
  const Calibrated changed = calibrate(run, other, all);
  for (std::int64_t group = 0; group < 4; ++group) {
    EXPECT_EQ(changed.hessians.at(group), plain.hessians.at(group)) << "before it: " << group;
  }
  EXPECT_NE(changed.hessians.at(4), plain.hessians.at(4));
  expect_hessians(changed, naive_hessians(run, other));
}

TEST(Calibrate, KeepsHessiansForLater) {
  SmallRun run;
  const std::vector<bool> all(run.model().layout.groups.size(), true);
  const Calibrated found = calibrate(run, weights_of(run), all, true);
  const waves::RunContext context = run.context();
  EXPECT_THAT(waves::find_kept_hessians(context), testing::Each(true));
  for (const auto& [group, hessian] : found.hessians) {
    const auto kept = waves::load_hessian(context, group);
    EXPECT_TRUE(std::equal(hessian.begin(), hessian.end(), kept.hessian.values().begin(),
                           kept.hessian.values().end()))
        << group;
  }
}

}  // namespace
}  // namespace shardquant::tests
