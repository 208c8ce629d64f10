#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <random>

#include "pipeline/evaluation/compare_models.hpp"
#include "pipeline/evaluation/evaluate_documents.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/model/run_head.hpp"
#include "tests/support/backend_test.hpp"
#include "tests/support/naive_twin.hpp"
#include "tests/support/opened_model.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::tests {
namespace {

namespace fs = std::filesystem;
using oracle::Dense;

const fs::path kDemo = fs::path(SHARDQUANT_SOURCE_DIR) / "configs/demo/model";
constexpr std::int64_t kHeaderBytes = 8;

// A copy of the demo model whose fp16 weights keep `mask` of their bits: as if it were quantized.
void make_coarse_copy(const fs::path& folder, std::uint16_t mask) {
  fs::copy(kDemo, folder, fs::copy_options::recursive);
  std::string bytes = formats::read_text_file(kDemo / "model.safetensors", 1 << 24);
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), kHeaderBytes);
  for (std::size_t at = kHeaderBytes + header; at + 1 < bytes.size(); at += 2) {
    std::uint16_t value = 0;
    std::memcpy(&value, bytes.data() + at, 2);
    value &= mask;
    std::memcpy(bytes.data() + at, &value, 2);
  }
  std::ofstream(folder / "model.safetensors", std::ios::binary) << bytes;
}

// The definition, over all tokens in double precision.
evaluation::Comparison compare_plainly(const oracle::NaiveModel& plain,
                                       const oracle::NaiveModel& other,
                                       const evaluation::Documents& documents) {
  evaluation::Comparison all;
  std::vector<double> divergences;
  double nll_plain = 0.0;
  double nll_other = 0.0;
  for (const auto& document : documents) {
    const Dense p = naive_logits(plain, document);
    const Dense q = naive_logits(other, document);
    for (std::int64_t t = 0; t + 1 < p.rows; ++t) {
      double divergence = 0.0;
      std::int64_t top_p = 0;
      std::int64_t top_q = 0;
      for (std::int64_t i = 0; i < p.cols; ++i) {
        const double log_p = -oracle::negative_log_likelihood(p, t, i);
        const double log_q = -oracle::negative_log_likelihood(q, t, i);
        divergence += std::exp(log_p) * (log_p - log_q);
        if (p.at(t, i) > p.at(t, top_p)) top_p = i;
        if (q.at(t, i) > q.at(t, top_q)) top_q = i;
      }
      divergences.push_back(divergence);
      all.top_agreement += top_p == top_q ? 1.0 : 0.0;
      const std::int32_t next = document[static_cast<std::size_t>(t) + 1];
      nll_plain += oracle::negative_log_likelihood(p, t, next);
      nll_other += oracle::negative_log_likelihood(q, t, next);
    }
  }
  const auto count = static_cast<double>(divergences.size());
  std::sort(divergences.begin(), divergences.end());
  for (const double divergence : divergences) all.mean_divergence += divergence / count;
  all.divergence_99 = divergences[static_cast<std::size_t>(std::ceil(0.99 * count)) - 1];
  all.top_agreement /= count;
  all.plain_perplexity = std::exp(nll_plain / count);
  all.other_perplexity = std::exp(nll_other / count);
  all.tokens = std::ssize(divergences);
  return all;
}

class CompareModels : public BackendTest {
 protected:
  static evaluation::Documents documents() {
    const std::string bytes =
        formats::read_text_file(fs::path(SHARDQUANT_SOURCE_DIR) / "configs/demo/eval.i32", 1 << 24);
    std::vector<std::int32_t> ids(bytes.size() / 4);
    std::memcpy(ids.data(), bytes.data(), ids.size() * 4);
    evaluation::Documents documents;
    std::size_t at = 0;
    for (const std::size_t size : {40, 7, 1, 33, 40, 64, 2}) {
      documents.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(at),
                             ids.begin() + static_cast<std::ptrdiff_t>(at + size));
      at += size;
    }
    return documents;
  }

  std::vector<evaluation::TokenComparison> compare(
      const OpenedModel& plain, const OpenedModel& other,
      const std::vector<evaluation::DocumentBatch>& batches, std::int64_t hidden_bytes = 1 << 30) {
    return evaluation::compare_models(*backend, {plain.description, plain.layout, plain.weights},
                                      {other.description, other.layout, other.weights}, documents(),
                                      batches, {hidden_bytes, {}, {}});
  }
};

TEST_P(CompareModels, figures_are_those_of_the_definition_in_double_precision) {
  const TempDirectory folder;
  make_coarse_copy(folder.path() / "coarse", 0xFF80);
  const OpenedModel plain(kDemo);
  const OpenedModel coarse(folder.path() / "coarse");
  const auto got =
      evaluation::summarize(compare(plain, coarse, evaluation::batch_documents(documents())));
  const auto want = compare_plainly(naive_twin(plain.description, plain.folder),
                                    naive_twin(coarse.description, coarse.folder), documents());
  EXPECT_EQ(got.tokens, want.tokens);
  EXPECT_GT(want.mean_divergence, 1e-3);
  EXPECT_LT(want.top_agreement, 1.0);
  EXPECT_NEAR(got.mean_divergence, want.mean_divergence, 1e-5);
  EXPECT_NEAR(got.divergence_99, want.divergence_99, 1e-5);
  EXPECT_EQ(got.top_agreement, want.top_agreement);
  EXPECT_NEAR(got.plain_perplexity, want.plain_perplexity, 1e-5 * want.plain_perplexity);
  EXPECT_NEAR(got.other_perplexity, want.other_perplexity, 1e-5 * want.other_perplexity);
  std::printf("mean %.9g (oracle %.9g), 99th percentile %.9g (%.9g), agreement %.6f\n",
              got.mean_divergence, want.mean_divergence, got.divergence_99, want.divergence_99,
              got.top_agreement);
}

// Hidden states of a document after every block.
std::vector<Dense> states_of(const oracle::NaiveModel& naive,
                             const std::vector<std::int32_t>& document) {
  Dense x = naive.embed(document);
  std::vector<Dense> inputs;
  std::vector<Dense> states;
  for (std::int64_t i = 0; i < naive.layers; ++i) {
    x = naive.block(x, i, x.rows, inputs);
    states.push_back(x);
  }
  return states;
}

TEST_P(CompareModels, errors_along_the_blocks_are_those_of_the_hidden_states) {
  const TempDirectory folder;
  make_coarse_copy(folder.path() / "coarse", 0xFF80);
  const OpenedModel plain(kDemo);
  const OpenedModel coarse(folder.path() / "coarse");
  const model::ModelView plain_view{plain.description, plain.layout, plain.weights};
  const model::ModelView coarse_view{coarse.description, coarse.layout, coarse.weights};
  std::vector<evaluation::StateDifference> states;
  std::vector<double> steps;
  const auto take = [&](const evaluation::ComparedBatch& batch) {
    states.insert(states.end(), batch.states.begin(), batch.states.end());
  };
  const auto batches = evaluation::batch_documents(documents());
  evaluation::CompareSettings settings{1, [&](double tokens) { steps.push_back(tokens); }, {}};
  EXPECT_TRUE(evaluation::compare_batches(*backend, plain_view, coarse_view, documents(), batches,
                                          settings, take));
  EXPECT_EQ(std::ssize(steps), std::ssize(batches) * (plain.description.layers + 1));

  const oracle::NaiveModel naive_plain = naive_twin(plain.description, plain.folder);
  const oracle::NaiveModel naive_coarse = naive_twin(coarse.description, coarse.folder);
  std::vector<double> squared(static_cast<std::size_t>(naive_plain.layers)), norm(squared);
  for (const auto& document : documents()) {
    const auto x = states_of(naive_plain, document);
    const auto y = states_of(naive_coarse, document);
    for (std::size_t b = 0; b < x.size(); ++b) {
      for (std::size_t i = 0; i < x[b].values.size(); ++i) {
        squared[b] += std::pow(y[b].values[i] - x[b].values[i], 2);
        norm[b] += std::pow(x[b].values[i], 2);
      }
    }
  }
  const std::vector<double> errors = evaluation::errors_along_blocks(states);
  ASSERT_EQ(errors.size(), squared.size());
  for (std::size_t b = 0; b < errors.size(); ++b) {
    EXPECT_NEAR(errors[b], std::sqrt(squared[b] / norm[b]), 1e-5) << b;
    EXPECT_GT(errors[b], 1e-4);
  }

  settings.should_stop = [&] { return true; };
  states.clear();
  EXPECT_FALSE(evaluation::compare_batches(*backend, plain_view, coarse_view, documents(), batches,
                                           settings, take));
  EXPECT_TRUE(states.empty());
}

TEST_P(CompareModels, a_model_does_not_differ_from_itself) {
  const OpenedModel plain(kDemo);
  const auto all =
      evaluation::summarize(compare(plain, plain, evaluation::batch_documents(documents())));
  EXPECT_EQ(all.mean_divergence, 0.0);
  EXPECT_EQ(all.divergence_99, 0.0);
  EXPECT_EQ(all.top_agreement, 1.0);
}

TEST_P(CompareModels, parts_and_passes_give_the_same_figures) {
  const TempDirectory folder;
  make_coarse_copy(folder.path() / "coarse", 0xFE00);
  const OpenedModel plain(kDemo);
  const OpenedModel coarse(folder.path() / "coarse");
  const auto batches = evaluation::batch_documents(documents());
  ASSERT_GE(batches.size(), 2u);
  const auto whole = evaluation::summarize(compare(plain, coarse, batches));
  // The last batch first, each in a pass of its own.
  auto parts = compare(plain, coarse, {batches.rbegin(), batches.rend()}, 1);
  const auto again = evaluation::summarize(parts);
  EXPECT_EQ(again.mean_divergence, whole.mean_divergence);
  EXPECT_EQ(again.divergence_99, whole.divergence_99);
  EXPECT_EQ(again.plain_perplexity, whole.plain_perplexity);
}

// Rows that are filled up predict what they predict alone.
TEST_P(CompareModels, documents_are_evaluated_as_rows_of_their_own) {
  const OpenedModel plain(kDemo);
  const oracle::NaiveModel naive = naive_twin(plain.description, plain.folder);
  const evaluation::Documents all = documents();
  const auto losses =
      evaluation::evaluate_documents(*backend, {plain.description, plain.layout, plain.weights},
                                     all, evaluation::batch_documents(all));
  ASSERT_EQ(losses.size(), all.size());
  for (const evaluation::DocumentLoss& one : losses) {
    const auto& document = all[static_cast<std::size_t>(one.document)];
    const Dense logits = naive_logits(naive, document);
    double expected = 0.0;
    for (std::size_t t = 0; t + 1 < document.size(); ++t) {
      expected +=
          oracle::negative_log_likelihood(logits, static_cast<std::int64_t>(t), document[t + 1]);
    }
    EXPECT_NEAR(one.loss.nll, expected, 1e-5 * expected) << one.document;
    EXPECT_EQ(one.loss.predicted, std::ssize(document) - 1);
  }
}

INSTANTIATE_FOR_BACKENDS(CompareModels);

TEST(Summarize, takes_the_99th_percentile_by_rank) {
  std::vector<evaluation::TokenComparison> tokens;
  for (std::int64_t i = 1; i <= 200; ++i) {
    tokens.push_back({.document = -i, .divergence = static_cast<double>(i)});
  }
  EXPECT_EQ(evaluation::summarize(tokens).divergence_99, 198.0);
  tokens.resize(50);
  EXPECT_EQ(evaluation::summarize(tokens).divergence_99, 50.0);
}

}  // namespace
}  // namespace shardquant::tests
