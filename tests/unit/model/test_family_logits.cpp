#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "pipeline/failure.hpp"
#include "pipeline/model/families/families.hpp"
#include "pipeline/model/run_block.hpp"
#include "pipeline/model/run_head.hpp"
#include "tests/support/backend_test.hpp"
#include "tests/support/family_golden.hpp"
#include "tests/support/opened_model.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::tests {
namespace {

using kernels::Backend;
using kernels::Matrix;

constexpr double kTolerance = 1e-4;  // of the logits' range

/// Logits of one row at all of its positions, [length, vocabulary].
std::vector<float> logits_of(Backend& backend, const OpenedModel& model,
                             std::span<const std::int32_t> tokens) {
  const std::int64_t length = std::ssize(tokens);
  Matrix hidden = backend.allocate(length, model.description.hidden_size);
  model::embed_tokens(backend, {model.description, model.layout, model.weights}, tokens, hidden);
  model::BlockWorkspace workspace(backend, model.layout, length, length);
  for (std::int64_t block = 0; block < model.description.layers; ++block) {
    model::run_block(backend,
                     model::load_block_weights(backend, model.weights, model.layout, block),
                     model.description, hidden, workspace);
  }
  const auto head = model::load_head_weights(backend, model.weights, model.layout);
  backend.rms_norm(hidden, head.norm, static_cast<float>(model.description.rms_norm_eps), hidden);
  Matrix logits = backend.allocate(length, model.description.vocab_size);
  model::head_logits(backend, head, model.description, hidden, logits);
  std::vector<float> values(static_cast<std::size_t>(logits.view().size()));
  backend.download(logits, values);
  return values;
}

/// The logits of a run as the reference keeps them: at some positions, and means over all.
struct RunLogits {
  std::vector<double> kept;
  std::vector<double> means;
};

RunLogits forward_run(Backend& backend, const std::string& family, const FamilyGolden& golden,
                      const GoldenRun& run) {
  const TempDirectory scratch;
  write_golden_model(scratch.path(), family, golden, run);
  const OpenedModel model(scratch.path());
  RunLogits out;
  for (const std::int64_t row : run.rows) {
    const auto& tokens = golden.rows.at(static_cast<std::size_t>(row));
    const std::vector<float> logits = logits_of(backend, model, tokens);
    for (const std::int64_t position : golden.positions.at(static_cast<std::size_t>(row))) {
      const auto begin = logits.begin() + position * golden.vocabulary;
      out.kept.insert(out.kept.end(), begin, begin + golden.vocabulary);
    }
    for (std::int64_t v = 0; v < golden.vocabulary; ++v) {
      double sum = 0.0;
      for (std::size_t t = 0; t < tokens.size(); ++t) {
        sum += static_cast<double>(
            logits[t * static_cast<std::size_t>(golden.vocabulary) + static_cast<std::size_t>(v)]);
      }
      out.means.push_back(sum / static_cast<double>(tokens.size()));
    }
  }
  return out;
}

double largest_difference(const std::vector<double>& actual, const std::vector<float>& expected) {
  if (actual.size() != expected.size()) return INFINITY;
  double largest = 0.0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double difference = std::abs(actual[i] - static_cast<double>(expected[i]));
    if (!(difference <= largest)) largest = difference;  // NaN stays
  }
  return largest;
}

/// The architecture that the family's config.json names.
std::string architecture_of(const FamilyGolden& golden) {
  const auto config = nlohmann::json::parse(golden.runs.front().config);
  return config.at("architectures").at(0);
}

class FamilyLogits : public BackendTest {};

// transformers' own numbers; every variant's logits, so that a field that is not read fails.
TEST_P(FamilyLogits, AreThoseOfTransformers) {
  std::string skipped;
  std::string refused;
  std::int64_t compared = 0;
  for (const std::string& family : golden_families()) {
    const FamilyGolden golden = read_family_golden(family);
    if (model::find_family(architecture_of(golden)) == nullptr) {
      skipped += (skipped.empty() ? "" : ", ") + family;
      continue;
    }
    double worst = 0.0;
    for (const GoldenRun& run : golden.runs) {
      SCOPED_TRACE(family + ", " + run.name);
      RunLogits got;
      try {
        got = forward_run(*backend, family, golden, run);
      } catch (const Failure& failure) {
        // What the program does not do it says by name, rather than computing another model.
        EXPECT_EQ(failure.code(), ExitCode::bad_data) << failure.what();
        EXPECT_NE(std::string(failure.what()).find("is not supported"), std::string::npos)
            << failure.what();
        refused += fmt::format("{}{} ({})", refused.empty() ? "" : ", ", family, run.name);
        continue;
      }
      const double kept = largest_difference(got.kept, run.logits) / run.range;
      const double means = largest_difference(got.means, run.mean_logits) / run.range;
      EXPECT_LE(kept, kTolerance);
      EXPECT_LE(means, kTolerance);
      worst = std::max({worst, kept, means});
    }
    std::cout << fmt::format("{}: {} runs, largest difference {:.1e} of the range\n", family,
                             golden.runs.size(), worst);
    ++compared;
  }
  std::cout << "refused by name: " << refused << '\n';
  std::cout << "not in the table, skipped: " << skipped << '\n';
  EXPECT_GT(compared, 0);
}

INSTANTIATE_FOR_BACKENDS(FamilyLogits);

}  // namespace
}  // namespace shardquant::tests
