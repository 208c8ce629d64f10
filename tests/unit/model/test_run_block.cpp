#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "pipeline/evaluation/evaluate_rows.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/model/families/families.hpp"
#include "pipeline/model/run_block.hpp"
#include "pipeline/model/run_head.hpp"
#include "tests/oracle/naive_forward.hpp"
#include "tests/support/backend_test.hpp"
#include "tests/support/make_model.hpp"
#include "tests/support/opened_model.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::tests {
namespace {

using kernels::Backend;
using kernels::ConstMatrixView;
using kernels::Matrix;
using oracle::Dense;

constexpr std::int64_t kRows = 3;
constexpr std::int64_t kLength = 37;

MakeModelOptions small_model(const std::string& family) {
  MakeModelOptions options;
  options.family = family;
  options.layers = 2;
  options.hidden = 64;
  options.heads = 4;
  options.kv_heads = 2;
  options.ffn = 96;
  options.vocab = 101;
  return options;
}

/// A generated model, opened, with its tokens and its double-precision twin.
struct Fixture {
  TempDirectory directory;
  MakeModelOptions options;
  std::unique_ptr<OpenedModel> opened;
  std::unique_ptr<formats::TokenStream> stream;
  std::vector<std::int32_t> tokens;

  explicit Fixture(const MakeModelOptions& made) : options(made) {
    make_model(directory.path() / "model", options);
    opened = std::make_unique<OpenedModel>(directory.path() / "model");
    make_tokens(directory.path() / "tokens.i32", kRows * kLength, options.vocab, 5);
    stream = std::make_unique<formats::TokenStream>(directory.path() / "tokens.i32");
    tokens.resize(kRows * kLength);
    stream->read_row(0, options.vocab, tokens);
  }

  /// What the file says, told again from the options alone: names and rules of the families.
  oracle::NaiveModel twin() const {
    oracle::NaiveModel naive;
    naive.layers = options.layers;
    naive.heads = options.heads;
    naive.kv_heads = options.kv_heads;
    naive.head_dim = options.head_dim > 0 ? options.head_dim : options.hidden / options.heads;
    for (const std::string& name : opened->folder.names()) {
      const std::vector<std::int64_t>& shape = opened->folder.at(name).shape;
      Dense tensor(shape.size() == 2 ? shape[0] : 1, shape.back());
      std::vector<float> values(tensor.values.size());
      model::read_floats(opened->folder, name, 0, values);
      std::copy(values.begin(), values.end(), tensor.values.begin());
      naive.tensors.emplace(name, tensor);
    }
    if (options.head == HeadStorage::head_only) {
      naive.tensors["model.embed_tokens.weight"] = naive.tensor("lm_head.weight");
    }
    naive.frequencies = oracle::rope_frequencies(10000.0, naive.head_dim);
    if (options.rope_scaling == "linear") {
      for (double& frequency : naive.frequencies) frequency /= 2.0;
    }
    for (std::int64_t layer = 0; layer < options.layers; ++layer) {
      const bool full = options.family.starts_with("qwen") && layer < options.layers / 2;
      naive.windows.push_back(full ? 0 : options.sliding_window);
    }
    return naive;
  }
};

double worst_difference(const std::vector<float>& actual, const Dense& expected) {
  if (actual.size() != expected.values.size()) return INFINITY;
  double squares = 0.0;
  double worst = 0.0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    squares += expected.values[i] * expected.values[i];
    const double difference = std::abs(actual[i] - expected.values[i]);
    worst = std::isfinite(actual[i]) ? std::max(worst, difference) : INFINITY;
  }
  return worst / std::sqrt(squares / static_cast<double>(actual.size()));
}

class RunBlock : public BackendTest {
 protected:
  /// Forwards the tokens through all blocks and compares the residual stream, every input of linear
  /// layers, and the loss of every row with the twin.
  void expect_like(const Fixture& fixture, const oracle::NaiveModel& naive) {
    const OpenedModel& opened = *fixture.opened;
    Matrix hidden = backend->allocate(kRows * kLength, opened.description.hidden_size);
    model::embed_tokens(*backend, {opened.description, opened.layout, opened.weights},
                        fixture.tokens, hidden);
    Dense expected = naive.embed(fixture.tokens);
    EXPECT_LT(worst_difference(to_host(hidden), expected), 1e-7);
    model::BlockWorkspace workspace(*backend, opened.layout, 2 * kRows * kLength, kLength);
    for (std::int64_t block = 0; block < opened.description.layers; ++block) {
      SCOPED_TRACE("block " + std::to_string(block));
      const auto weights =
          model::load_block_weights(*backend, opened.weights, opened.layout, block);
      std::vector<std::vector<float>> inputs;
      std::vector<std::int64_t> groups;
      model::run_block(*backend, weights, opened.description, hidden, workspace,
                       [&](std::int64_t group, ConstMatrixView x) {
                         groups.push_back(group);
                         inputs.push_back(to_host(x));
                       });
      std::vector<Dense> expected_inputs;
      expected = naive.block(expected, block, kLength, expected_inputs);
      const std::int64_t first = 4 * block;
      EXPECT_THAT(groups, testing::ElementsAre(first, first + 1, first + 2, first + 3));
      ASSERT_EQ(inputs.size(), 4u);
      for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_LT(worst_difference(inputs[i], expected_inputs[i]), 3e-5) << "input " << i;
      }
      EXPECT_LT(worst_difference(to_host(hidden), expected), 1e-5);
    }
    expect_losses(fixture, naive.head(expected));
  }

  void expect_losses(const Fixture& fixture, const Dense& logits) {
    const OpenedModel& opened = *fixture.opened;
    const auto rows =
        evaluation::evaluate_rows(*backend, {opened.description, opened.layout, opened.weights},
                                  *fixture.stream, {0, kRows, kLength});
    ASSERT_EQ(std::ssize(rows), kRows);
    for (std::int64_t row = 0; row < kRows; ++row) {
      double expected = 0.0;
      for (std::int64_t t = row * kLength; t + 1 < (row + 1) * kLength; ++t) {
        expected += oracle::negative_log_likelihood(logits, t, fixture.tokens[t + 1]);
      }
      EXPECT_NEAR(rows[row].nll, expected, 1e-5 * expected) << "row " << row;
      EXPECT_EQ(rows[row].predicted, kLength - 1);
    }
  }

  void expect_like_twin(const MakeModelOptions& options) {
    const Fixture fixture(options);
    expect_like(fixture, fixture.twin());
  }
};

TEST_P(RunBlock, Llama) {
  expect_like_twin(small_model("llama"));
}

TEST_P(RunBlock, LlamaWithEveryBiasInSeveralShards) {
  MakeModelOptions options = small_model("llama");
  options.biases = true;
  options.dtype = "F32";
  options.shards = 3;
  options.kv_heads = 4;
  expect_like_twin(options);
}

TEST_P(RunBlock, LlamaWithLinearScalingAndTiedHead) {
  MakeModelOptions options = small_model("llama");
  options.rope_scaling = "linear";
  options.head = HeadStorage::tied;
  options.kv_heads = 1;
  expect_like_twin(options);
}

TEST_P(RunBlock, Llama3ScalingWithOnlyTheHeadStored) {
  MakeModelOptions options = small_model("llama");
  options.rope_scaling = "llama3";
  options.head = HeadStorage::head_only;
  const Fixture fixture(options);
  oracle::NaiveModel naive = fixture.twin();
  // A short original context, so that all three kinds of frequencies matter in short rows.
  fixture.opened->description.rope.original_max_position_embeddings = 32;
  fixture.opened->layout = model::lay_out_model(fixture.opened->description);
  naive.frequencies = oracle::llama3_frequencies(naive.frequencies, 8.0, 1.0, 4.0, 32.0);
  expect_like(fixture, naive);
}

TEST_P(RunBlock, MistralWithWindow) {
  MakeModelOptions options = small_model("mistral");
  options.sliding_window = 9;
  options.dtype = "BF16";
  expect_like_twin(options);
}

TEST_P(RunBlock, Qwen2WithBiasesAndWindowInTheUpperBlocks) {
  MakeModelOptions options = small_model("qwen2");
  options.sliding_window = 9;
  expect_like_twin(options);
}

TEST_P(RunBlock, Qwen3WithHeadNormsAndAHeadSizeOfItsOwn) {
  MakeModelOptions options = small_model("qwen3");
  options.head_dim = 24;
  options.biases = true;
  expect_like_twin(options);
}

TEST_P(RunBlock, SameBytesForAnyThreadsAndNoTakerNeeded) {
  const Fixture fixture(small_model("qwen3"));
  const OpenedModel& opened = *fixture.opened;
  const auto run = [&](Backend& on) {
    Matrix hidden = on.allocate(kRows * kLength, opened.description.hidden_size);
    model::embed_tokens(on, {opened.description, opened.layout, opened.weights}, fixture.tokens,
                        hidden);
    model::BlockWorkspace workspace(on, opened.layout, kRows * kLength, kLength);
    model::run_block(on, model::load_block_weights(on, opened.weights, opened.layout, 0),
                     opened.description, hidden, workspace);
    std::vector<float> values(static_cast<std::size_t>(hidden.view().size()));
    on.download(hidden, values);
    return values;
  };
  const std::vector<float> one = run(*backend);
  const std::vector<float> two = run(*two_threads());
  EXPECT_EQ(std::memcmp(one.data(), two.data(), one.size() * sizeof(float)), 0);
}

TEST_P(RunBlock, RangesAndPassesGiveTheBytesOfOneRange) {
  const Fixture fixture(small_model("llama"));
  const OpenedModel& opened = *fixture.opened;
  constexpr std::int64_t kLong = 1500;
  ASSERT_EQ(evaluation::evaluation_batch_rows(kLong), 2);
  make_tokens(fixture.directory.path() / "long.i32", 5 * kLong, fixture.options.vocab, 6);
  const formats::TokenStream stream(fixture.directory.path() / "long.i32");
  const auto losses_of = [&](std::int64_t first, std::int64_t count, std::int64_t hidden_bytes) {
    evaluation::EvaluateSettings settings;
    settings.hidden_bytes = hidden_bytes;
    std::vector<double> shares;
    settings.progress = [&](double share) { shares.push_back(share); };
    std::vector<double> losses;
    for (const auto& row :
         evaluation::evaluate_rows(*backend, {opened.description, opened.layout, opened.weights},
                                   stream, {first, count, kLong}, settings)) {
      losses.push_back(row.nll);
    }
    EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
    EXPECT_EQ(shares.back(), 1.0);
    return losses;
  };
  const std::vector<double> one_pass = losses_of(0, 5, std::int64_t{1} << 30);
  EXPECT_EQ(losses_of(0, 5, 1), one_pass);
  std::vector<double> pieces = losses_of(0, 2, std::int64_t{1} << 30);
  for (const double loss : losses_of(2, 3, 1)) pieces.push_back(loss);
  EXPECT_EQ(pieces, one_pass);
}

TEST_P(RunBlock, HeadInputsComeInOrderAndWithoutLogitsWhereNoneAreWanted) {
  const Fixture fixture(small_model("llama"));
  const OpenedModel& opened = *fixture.opened;
  const oracle::NaiveModel naive = fixture.twin();
  const Dense x = naive.embed(fixture.tokens);
  Matrix hidden = backend->allocate(x.rows, x.cols);
  model::embed_tokens(*backend, {opened.description, opened.layout, opened.weights}, fixture.tokens,
                      hidden);
  std::vector<float> inputs;
  model::run_head(*backend, model::load_head_weights(*backend, opened.weights, opened.layout),
                  opened.description, hidden, {}, {}, [&](ConstMatrixView part) {
                    const std::vector<float> values = to_host(part);
                    inputs.insert(inputs.end(), values.begin(), values.end());
                  });
  const Dense expected = oracle::rms_norm(x, naive.tensor("model.norm.weight"), 1e-5);
  EXPECT_LT(worst_difference(inputs, expected), 3e-6);
  EXPECT_LT(worst_difference(to_host(hidden), x), 1e-7) << "the residual stream was changed";
}

/// Overwrites the first fp16 value of a tensor.
void spoil(const OpenedModel& opened, const std::string& tensor, std::uint16_t bits) {
  std::fstream file(opened.folder.path() / "model.safetensors",
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(opened.folder.at(tensor).begin);
  file.write(reinterpret_cast<const char*>(&bits), 2);
}

TEST_P(RunBlock, ABadNumberIsRefusedByName) {
  constexpr std::uint16_t kNan = 0x7e01;
  for (const std::string name : {"model.layers.1.mlp.up_proj.weight", "model.norm.weight",
                                 "model.layers.0.input_layernorm.weight", "lm_head.weight"}) {
    const Fixture fixture(small_model("llama"));
    spoil(*fixture.opened, name, kNan);
    try {
      evaluation::evaluate_rows(
          *backend, {fixture.opened->description, fixture.opened->layout, fixture.opened->weights},
          *fixture.stream, {0, kRows, kLength});
      FAIL() << name << ": not refused";
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), ExitCode::bad_data);
      EXPECT_THAT(failure.what(), testing::HasSubstr(name));
    }
  }
}

TEST_P(RunBlock, AResidualStreamThatOverflowsIsRefusedNamingTheBlock) {
  const Fixture fixture(small_model("llama"));
  const OpenedModel& opened = *fixture.opened;
  auto weights = model::load_block_weights(*backend, opened.weights, opened.layout, 1);
  Matrix& mlp_norm = weights.vectors.back();
  std::vector<float> huge(static_cast<std::size_t>(mlp_norm.cols()), 1e38f);
  backend->upload(huge, mlp_norm);
  Matrix hidden = backend->allocate(kRows * kLength, opened.description.hidden_size);
  model::embed_tokens(*backend, {opened.description, opened.layout, opened.weights}, fixture.tokens,
                      hidden);
  model::BlockWorkspace workspace(*backend, opened.layout, kRows * kLength, kLength);
  try {
    model::run_block(*backend, weights, opened.description, hidden, workspace);
    FAIL() << "not refused";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::bad_data);
    EXPECT_THAT(failure.what(), testing::HasSubstr("model.layers.1"));
  }
}

TEST(RunBlockBytes, FollowTheShapes) {
  model::ModelDescription description;
  description.family = model::find_family("LlamaForCausalLM");
  description.layers = 1;
  description.windows = {0};
  description.hidden_size = 8;
  description.heads = 2;
  description.kv_heads = 1;
  description.head_dim = 6;
  description.intermediate_size = 10;
  description.vocab_size = 50;
  // Attention: 8 + 12 + 6 + 6 + 12 floats per token; the MLP needs less: 8 + 10 + 10. Table: 5 x 6.
  EXPECT_EQ(model::run_block_workspace_bytes(model::lay_out_model(description), 20, 5),
            4 * (44 * 20 + 30));
  description.intermediate_size = 100;
  EXPECT_EQ(model::run_block_workspace_bytes(model::lay_out_model(description), 20, 5),
            4 * (208 * 20 + 30));
  // The weights q 12x8, k 6x8, v 6x8, o 8x12, gate and up 100x8, down 8x100 and two norms; biases.
  constexpr std::int64_t kWeights = 96 + 48 + 48 + 96 + 3 * 800 + 2 * 8;
  EXPECT_EQ(model::lay_out_model(description).block_weight_bytes(), 4 * kWeights);
  description.qkv_bias = description.o_bias = description.mlp_bias = true;
  EXPECT_EQ(model::lay_out_model(description).block_weight_bytes(),
            4 * (kWeights + 12 + 6 + 6 + 8 + 100 + 100 + 8));
  EXPECT_EQ(model::run_head_workspace_bytes(description), 4 * 1024 * (8 + 50));
}

INSTANTIATE_FOR_BACKENDS(RunBlock);

}  // namespace
}  // namespace shardquant::tests
