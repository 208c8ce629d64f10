#include <gmock/gmock.h>

#include <map>

#include "pipeline/evaluation/evaluate_rows.hpp"
#include "pipeline/model/model_tensors.hpp"
#include "tests/oracle/naive_forward.hpp"
#include "tests/support/backend_test.hpp"
#include "tests/support/make_model.hpp"
#include "tests/support/opened_model.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::tests {
namespace {

constexpr std::int64_t kRows = 3, kLength = 24;

MakeModelOptions small_model() {
  MakeModelOptions options;
  options.family = "SideBySideForCausalLM";
  options.hidden = 64;
  options.heads = 4;
  options.kv_heads = 2;
  options.ffn = 96;
  options.layers = 3;
  options.vocab = 90;
  return options;
}

oracle::NaiveModel twin_of(const OpenedModel& opened) {
  oracle::NaiveModel naive;
  for (const std::string& name : opened.folder.names()) {
    const auto& shape = opened.folder.at(name).shape;
    oracle::Dense tensor(shape.size() == 2 ? shape[0] : 1, shape.back());
    std::vector<float> values(tensor.values.size());
    model::read_floats(opened.folder, name, 0, values);
    std::copy(values.begin(), values.end(), tensor.values.begin());
    naive.tensors.emplace(name, std::move(tensor));
  }
  const model::ModelDescription& description = opened.description;
  naive.layers = description.layers;
  naive.heads = description.heads;
  naive.kv_heads = description.kv_heads;
  naive.head_dim = description.head_dim;
  naive.epsilon = description.rms_norm_eps;
  naive.windows.assign(static_cast<std::size_t>(description.layers), 0);
  naive.frequencies = oracle::rope_frequencies(description.rope.theta, description.head_dim);
  return naive;
}

// stream + attention(norm(stream)) + mlp(norm(stream)), one norm.
oracle::Dense block(const oracle::NaiveModel& naive, const oracle::Dense& x, std::int64_t layer) {
  const std::string name = "model.layers." + std::to_string(layer) + ".";
  const oracle::Dense& norm = naive.tensor(name + "input_layernorm.weight");
  const oracle::Dense in = oracle::rms_norm(x, norm, naive.epsilon);
  const auto rotated = [&](const char* key, std::int64_t heads) {
    return oracle::rotated(naive.apply(in, name + key), heads, kLength, naive.frequencies);
  };
  const oracle::Dense mixed = oracle::causal_attention(
      rotated("self_attn.q_proj", naive.heads), rotated("self_attn.k_proj", naive.kv_heads),
      naive.apply(in, name + "self_attn.v_proj"), kLength, naive.heads, naive.kv_heads, 0);
  const oracle::Dense product = oracle::silu_product(naive.apply(in, name + "mlp.gate_proj"),
                                                     naive.apply(in, name + "mlp.up_proj"));
  oracle::Dense out = oracle::NaiveModel::sum(x, naive.apply(mixed, name + "self_attn.o_proj"));
  return oracle::NaiveModel::sum(out, naive.apply(product, name + "mlp.down_proj"));
}

class SideBySideFamily : public BackendTest {};

TEST_P(SideBySideFamily, ForwardsAsTheOracleDoes) {
  const TempDirectory folder;
  make_model(folder.path() / "model", small_model());
  make_tokens(folder.path() / "tokens.i32", kRows * kLength, small_model().vocab, 3);
  const OpenedModel opened(folder.path() / "model");
  EXPECT_EQ(opened.layout.blocks[0].branches.size(), 1u);
  EXPECT_EQ(opened.layout.groups.size(), 4u * 3 + 1);

  const formats::TokenStream tokens(folder.path() / "tokens.i32");
  const auto losses = evaluation::evaluate_rows(
      *backend, {opened.description, opened.layout, opened.weights}, tokens, {0, kRows, kLength});
  const oracle::NaiveModel naive = twin_of(opened);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(kRows * kLength));
  for (std::int64_t row = 0; row < kRows; ++row) {
    tokens.read_row(row, small_model().vocab,
                    std::span(ids).subspan(static_cast<std::size_t>(row * kLength), kLength));
  }
  oracle::Dense x = naive.embed(ids);
  for (std::int64_t layer = 0; layer < naive.layers; ++layer) x = block(naive, x, layer);
  const oracle::Dense logits = naive.head(x);
  for (std::int64_t row = 0; row < kRows; ++row) {
    double nll = 0.0;
    for (std::int64_t t = row * kLength; t + 1 < (row + 1) * kLength; ++t) {
      double sum = 0.0;
      for (std::int64_t v = 0; v < logits.cols; ++v) sum += std::exp(logits.at(t, v));
      nll += std::log(sum) - logits.at(t, ids[static_cast<std::size_t>(t + 1)]);
    }
    EXPECT_NEAR(losses[static_cast<std::size_t>(row)].nll, nll, 1e-4 * nll) << "row " << row;
  }
}

INSTANTIATE_FOR_BACKENDS(SideBySideFamily);

}  // namespace
}  // namespace shardquant::tests
