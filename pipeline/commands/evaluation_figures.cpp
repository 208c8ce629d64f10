#include "pipeline/commands/evaluation_figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>
#include <tuple>

#include "pipeline/formats/json_text.hpp"
#include "pipeline/report/log.hpp"

namespace shardquant::commands {

namespace {

EvaluationFigures figures_of_losses(std::span<const evaluation::DocumentLoss> losses) {
  std::vector<evaluation::RowSum> sums;
  for (const evaluation::DocumentLoss& one : losses)
    sums.push_back({one.loss.nll, one.loss.predicted});
  EvaluationFigures figures;
  figures.loss = evaluation::mean_over_rows(sums);
  return figures;
}

EvaluationFigures figures_of_tokens(std::span<const evaluation::TokenComparison> tokens) {
  std::vector<evaluation::RowSum> losses, divergences;
  std::int64_t document = -1;
  for (const evaluation::TokenComparison& token : tokens) {
    if (losses.empty() || token.document != document) {
      losses.emplace_back();
      divergences.emplace_back();
      document = token.document;
    }
    losses.back().sum += token.other_nll;
    divergences.back().sum += token.divergence;
    ++losses.back().tokens;
    ++divergences.back().tokens;
  }
  EvaluationFigures figures;
  figures.loss = evaluation::mean_over_rows(losses);
  figures.divergence = evaluation::mean_over_rows(divergences);
  figures.comparison = evaluation::summarize({tokens.begin(), tokens.end()});
  return figures;
}

// `found` is in the order of rows, so that those of a file lie together.
template <class Value, class Figures>
Evaluated split_by_file(const EvaluationRows& rows, std::span<const Value> found, Figures figures) {
  Evaluated evaluated;
  evaluated.all = figures(found);
  const auto file_of = [&](const Value& value) {
    return rows.file_of_row[static_cast<std::size_t>(value.document)];
  };
  if (file_of(found.front()) == file_of(found.back())) return evaluated;
  for (std::size_t first = 0; first < found.size();) {
    const std::size_t file = file_of(found[first]);
    std::size_t end = first;
    while (end < found.size() && file_of(found[end]) == file) ++end;
    evaluated.by_file.emplace_back(rows.files[file], figures(found.subspan(first, end - first)));
    first = end;
  }
  return evaluated;
}

// JSON knows no NaN.
std::string number_or_null(double value) {
  return std::isfinite(value) ? fmt::format("{:.8g}", value) : "null";
}

std::string json_members(const EvaluationFigures& figures) {
  std::string text = fmt::format("\"perplexity\": {:.8f}, \"standard_error\": {}",
                                 figures.perplexity(), number_or_null(figures.perplexity_error()));
  if (const auto& comparison = figures.comparison) {
    text += fmt::format(
        ", \"plain_perplexity\": {:.8f}, \"kl_mean\": {:.9g}, \"kl_99\": {:.9g}, "
        "\"top1_agreement\": {:.8f}, \"kl_standard_error\": {}",
        comparison->plain_perplexity, comparison->mean_divergence, comparison->divergence_99,
        comparison->top_agreement, number_or_null(figures.divergence.standard_error));
  }
  return text +
         fmt::format(", \"tokens\": {}, \"rows\": {}", figures.loss.tokens, figures.loss.rows);
}

std::int64_t longest_row(const EvaluationRows& rows) {
  std::int64_t longest = 0;
  for (const auto& row : rows.rows) longest = std::max(longest, std::ssize(row));
  return longest;
}

void print_json(const EvaluationRows& rows, const Evaluated& evaluated) {
  std::string text =
      fmt::format("{{{}, \"length\": {}", json_members(evaluated.all), longest_row(rows));
  std::string files;
  for (const auto& [file, figures] : evaluated.by_file) {
    files += fmt::format("{}{{\"file\": {}, {}}}", files.empty() ? "" : ", ",
                         formats::json_quote(file), json_members(figures));
  }
  if (!files.empty()) text += fmt::format(", \"sources\": [{}]", files);
  std::printf("%s}\n", text.c_str());
}

std::string with_error(double value, double error, int digits) {
  if (!std::isfinite(error)) return fmt::format("{:.{}f}", value, digits);
  return fmt::format("{:.{}f} +/- {:.{}f}", value, digits, error, digits);
}

void print_figures(const EvaluationFigures& figures) {
  const std::string perplexity = with_error(figures.perplexity(), figures.perplexity_error(), 5);
  if (const auto& comparison = figures.comparison) {
    std::printf("perplexity %s, of the plain model %.5f\n", perplexity.c_str(),
                comparison->plain_perplexity);
    std::printf("KL divergence from the plain model: mean %.6g +/- %.2g, 99th percentile %.6g\n",
                comparison->mean_divergence, figures.divergence.standard_error,
                comparison->divergence_99);
    std::printf("same token likeliest: %.3f %%\n", 100.0 * comparison->top_agreement);
  } else {
    std::printf("perplexity %s\n", perplexity.c_str());
  }
}

void print_file(const std::string& file, const EvaluationFigures& figures) {
  std::string text = fmt::format("perplexity {:.5f}", figures.perplexity());
  if (const auto& comparison = figures.comparison) {
    text += fmt::format(", plain {:.5f}, KL {:.6g}, same {:.3f} %", comparison->plain_perplexity,
                        comparison->mean_divergence, 100.0 * comparison->top_agreement);
  }
  std::printf("  %s: %s, %lld tokens\n", report::printable(file).c_str(), text.c_str(),
              static_cast<long long>(figures.loss.tokens));
}

}  // namespace

Evaluated figures_of(const EvaluationRows& rows, std::vector<evaluation::DocumentLoss> losses) {
  std::sort(losses.begin(), losses.end(),
            [](const auto& a, const auto& b) { return a.document < b.document; });
  return split_by_file<evaluation::DocumentLoss>(rows, losses, figures_of_losses);
}

Evaluated figures_of(const EvaluationRows& rows, std::vector<evaluation::TokenComparison> tokens) {
  std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) {
    return std::tie(a.document, a.place) < std::tie(b.document, b.place);
  });
  return split_by_file<evaluation::TokenComparison>(rows, tokens, figures_of_tokens);
}

void print_evaluated(const EvaluationRows& rows, const Evaluated& evaluated, bool as_json) {
  if (as_json) {
    print_json(rows, evaluated);
    return;
  }
  print_figures(evaluated.all);
  std::printf(
      "over %lld tokens of %lld rows of at most %lld; +/- is the standard error over rows\n",
      static_cast<long long>(evaluated.all.loss.tokens),
      static_cast<long long>(evaluated.all.loss.rows), static_cast<long long>(longest_row(rows)));
  for (const auto& [file, figures] : evaluated.by_file) print_file(file, figures);
}

}  // namespace shardquant::commands
