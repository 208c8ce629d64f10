#include "pipeline/model/compare_models.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "pipeline/failure.hpp"
#include "pipeline/model/run_head.hpp"

namespace shardquant::model {

namespace {

// log of the sum of exponentials.
double normalizer(std::span<const float> logits, float largest) {
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return std::log(sum) + largest;
}

/// One model's hidden states of a pass and, in the end, logits of a piece of a batch.
class Side {
 public:
  Side(kernels::Backend& backend, const ModelView& model)
      : backend_(backend),
        model_(model),
        piece_(head_chunk_tokens(model.description)),
        normed_(backend.allocate(piece_, model.description.hidden_size)),
        logits_(backend.allocate(piece_, model.description.vocab_size)),
        host_(static_cast<std::size_t>(piece_ * model.description.vocab_size)) {}

  void forward(const Documents& documents, std::span<const DocumentBatch> batches) {
    open_.clear();  // two passes at once would be more than their share of memory
    open_ = forward_pass(backend_, model_.description, model_.source, documents, batches);
  }

  void load_head() { head_ = load_head_weights(backend_, model_.source, model_.layout); }
  void drop_head() { head_ = {}; }

  std::int64_t piece() const { return piece_; }
  const OpenBatch& batch(std::size_t index) const { return open_[index]; }

  /// Logits of `count` tokens of a batch, [count, vocab_size]; good until the next call.
  std::span<const float> logits(std::size_t index, std::int64_t first, std::int64_t count) {
    const kernels::MatrixView x = normed_.view().row_range(0, count);
    const kernels::MatrixView y = logits_.view().row_range(0, count);
    backend_.rms_norm(open_[index].hidden().row_range(first, count), head_.norm,
                      static_cast<float>(model_.description.rms_norm_eps), x);
    backend_.linear(x, head_.weight, {}, y);
    const auto all =
        std::span(host_).first(static_cast<std::size_t>(count * model_.description.vocab_size));
    backend_.download(y, all);
    if (!std::all_of(all.begin(), all.end(), [](float logit) { return std::isfinite(logit); })) {
      fail(ExitCode::bad_data,
           "{}: lm_head: a logit is NaN or infinite; the weights do not make a working model",
           model_.description.config_file);
    }
    return all;
  }

 private:
  kernels::Backend& backend_;
  const ModelView& model_;
  std::int64_t piece_;
  kernels::Matrix normed_, logits_;
  std::vector<float> host_;
  std::vector<OpenBatch> open_;
  HeadWeights head_;
};

void compare_batch(Side& plain, Side& other, std::size_t index, std::int64_t vocabulary,
                   std::vector<TokenComparison>& found) {
  const DocumentBatch& batch = plain.batch(index).batch();
  const std::vector<std::int32_t> targets = plain.batch(index).targets();
  for (std::int64_t first = 0; first < batch.tokens(); first += plain.piece()) {
    const std::int64_t count = std::min(plain.piece(), batch.tokens() - first);
    const std::span<const float> p = plain.logits(index, first, count);
    const std::span<const float> q = other.logits(index, first, count);
    for (std::int64_t t = 0; t < count; ++t) {
      const std::int32_t target = targets[static_cast<std::size_t>(first + t)];
      if (target < 0) continue;
      const auto at = static_cast<std::size_t>(t * vocabulary);
      const auto size = static_cast<std::size_t>(vocabulary);
      TokenComparison& token =
          found.emplace_back(compare_logits(p.subspan(at, size), q.subspan(at, size), target));
      token.document = batch.documents[static_cast<std::size_t>((first + t) / batch.length)];
      token.place = (first + t) % batch.length;
    }
  }
}

}  // namespace

TokenComparison compare_logits(std::span<const float> plain, std::span<const float> other,
                               std::int32_t target) {
  const auto top_plain = std::max_element(plain.begin(), plain.end());
  const auto top_other = std::max_element(other.begin(), other.end());
  const double log_sum_plain = normalizer(plain, *top_plain);
  const double log_sum_other = normalizer(other, *top_other);
  TokenComparison token;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const double log_p = plain[i] - log_sum_plain;
    const double log_q = other[i] - log_sum_other;
    token.divergence += std::exp(log_p) * (log_p - log_q);
  }
  const auto next = static_cast<std::size_t>(target);
  token.plain_nll = log_sum_plain - plain[next];
  token.other_nll = log_sum_other - other[next];
  token.same_top = top_plain - plain.begin() == top_other - other.begin() ? 1 : 0;
  return token;
}

std::vector<TokenComparison> compare_models(kernels::Backend& backend, const ModelView& plain,
                                            const ModelView& other, const Documents& documents,
                                            const std::vector<DocumentBatch>& batches,
                                            const EvaluateSettings& settings) {
  const std::int64_t vocabulary = plain.description.vocab_size;
  if (other.description.vocab_size != vocabulary) {
    fail(ExitCode::bad_data, "{}: vocab_size is {}, but {} in {}; only one vocabulary is compared",
         other.description.config_file, other.description.vocab_size, vocabulary,
         plain.description.config_file);
  }
  std::vector<TokenComparison> found;
  if (batches.empty()) return found;
  Side side_plain(backend, plain);
  Side side_other(backend, other);
  const std::int64_t token_bytes = (plain.description.hidden_size + other.description.hidden_size) *
                                   static_cast<std::int64_t>(sizeof(float));
  for (std::size_t first = 0; first < batches.size();) {
    const std::size_t end = end_of_pass(batches, first, token_bytes, settings.hidden_bytes);
    const auto pass = std::span(batches).subspan(first, end - first);
    side_plain.forward(documents, pass);
    side_other.forward(documents, pass);
    side_plain.load_head();
    side_other.load_head();
    for (std::size_t i = 0; i < pass.size(); ++i) {
      compare_batch(side_plain, side_other, i, vocabulary, found);
    }
    side_plain.drop_head();
    side_other.drop_head();
    first = end;
    if (settings.progress) {
      settings.progress(static_cast<double>(end) / static_cast<double>(batches.size()));
    }
  }
  return found;
}

Comparison summarize(std::vector<TokenComparison> tokens) {
  std::sort(tokens.begin(), tokens.end(), [](const TokenComparison& a, const TokenComparison& b) {
    return std::tie(a.document, a.place) < std::tie(b.document, b.place);
  });
  Comparison all;
  all.tokens = std::ssize(tokens);
  std::vector<double> divergences;
  double plain_nll = 0.0;
  double other_nll = 0.0;
  double same = 0.0;
  for (const TokenComparison& token : tokens) {
    divergences.push_back(token.divergence);
    all.mean_divergence += token.divergence;
    plain_nll += token.plain_nll;
    other_nll += token.other_nll;
    same += static_cast<double>(token.same_top);
  }
  const auto count = static_cast<double>(all.tokens);
  all.mean_divergence /= count;
  all.top_agreement = same / count;
  all.plain_perplexity = perplexity_of(plain_nll / count);
  all.other_perplexity = perplexity_of(other_nll / count);
  const std::int64_t rank = (99 * all.tokens + 99) / 100;
  const auto place = divergences.begin() + (rank - 1);
  std::nth_element(divergences.begin(), place, divergences.end());
  all.divergence_99 = *place;
  return all;
}

}  // namespace shardquant::model
