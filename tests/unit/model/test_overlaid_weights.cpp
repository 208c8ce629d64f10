#include <gtest/gtest.h>

#include <vector>

#include "pipeline/model/overlaid_weights.hpp"
#include "tests/support/backend_test.hpp"
#include "tests/support/make_model.hpp"
#include "tests/support/opened_model.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::tests {
namespace {

class OverlaidWeights : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    MakeModelOptions options;
    options.hidden = 64;
    options.heads = 2;
    options.kv_heads = 2;
    options.ffn = 96;
    options.layers = 1;
    options.vocab = 40;
    make_model(folder_.path() / "model", options);
    model_ = std::make_unique<OpenedModel>(folder_.path() / "model");
  }

  std::vector<float> weight(const model::WeightSource& source, std::int64_t layer) {
    return to_host(source.weight(*backend, layer));
  }

  TempDirectory folder_;
  std::unique_ptr<OpenedModel> model_;
};

TEST_P(OverlaidWeights, ReplacesTheGivenLayersAndNothingElse) {
  const model::LinearLayer& layer = model_->layout.linear_layers[2];
  std::vector<float> values(static_cast<std::size_t>(layer.parameters()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 17) - 8.0f;
  const model::OverlaidWeights overlaid(
      model_->weights, {{2,
                         {reinterpret_cast<const std::byte*>(values.data()),
                          kernels::ElementType::f32, layer.outputs, layer.inputs}}});
  EXPECT_EQ(weight(overlaid, 2), values);
  EXPECT_NE(weight(model_->weights, 2), values);
  for (const std::int64_t other : {0, 1, 3, 6, 7}) {
    EXPECT_EQ(weight(overlaid, other), weight(model_->weights, other)) << other;
  }
  const std::string norm = "model.layers.0.input_layernorm.weight";
  EXPECT_EQ(to_host(overlaid.norm(*backend, norm)), to_host(model_->weights.norm(*backend, norm)));
  EXPECT_TRUE(overlaid.bias(*backend, 2).empty());
  std::vector<float> row(64), plain(64);
  overlaid.embedding_row(3, row);
  model_->weights.embedding_row(3, plain);
  EXPECT_EQ(row, plain);
}

TEST_P(OverlaidWeights, AsksTheFunctionForEveryLayerAndTakesAnEmptyMatrixAsNo) {
  std::vector<std::int64_t> asked;
  const model::OverlaidWeights overlaid(
      model_->weights, [&](kernels::Backend&, std::int64_t layer) {
        asked.push_back(layer);
        return layer == 1 ? model_->weights.weight(*backend, 2) : kernels::Matrix();
      });
  EXPECT_EQ(weight(overlaid, 1), weight(model_->weights, 2));
  EXPECT_EQ(weight(overlaid, 0), weight(model_->weights, 0));
  EXPECT_EQ(asked, (std::vector<std::int64_t>{1, 0}));
}

TEST_P(OverlaidWeights, LieOneOverAnother) {
  const auto replace = [&](std::int64_t which, std::int64_t by) {
    return [this, which, by](kernels::Backend&, std::int64_t layer) {
      return layer == which ? model_->weights.weight(*backend, by) : kernels::Matrix();
    };
  };
  const model::OverlaidWeights first(model_->weights, replace(1, 2));
  const model::OverlaidWeights second(first, replace(2, 1));
  EXPECT_EQ(weight(second, 1), weight(model_->weights, 2));
  EXPECT_EQ(weight(second, 2), weight(model_->weights, 1));
}

INSTANTIATE_FOR_BACKENDS(OverlaidWeights);

}  // namespace
}  // namespace shardquant::tests
