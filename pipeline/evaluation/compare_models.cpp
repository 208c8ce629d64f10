#include "pipeline/evaluation/compare_models.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "pipeline/failure.hpp"
#include "pipeline/model/run_head.hpp"

namespace shardquant::evaluation {

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
  Side(kernels::Backend& backend, const model::ModelView& model)
      : backend_(backend),
        model_(model),
        piece_(model::head_chunk_tokens(model.description)),
        normed_(backend.allocate(piece_, model.description.hidden_size)),
        logits_(backend.allocate(piece_, model.description.vocab_size)),
        host_(static_cast<std::size_t>(piece_ * model.description.vocab_size)) {}

  void embed(const Documents& documents, std::span<const DocumentBatch> batches) {
    open_.clear();  // two passes at once would be more than their share of memory
    for (const DocumentBatch& batch : batches) {
      open_.emplace_back(backend_, model_, documents, batch);
    }
  }

  void forward(std::int64_t block) {
    if (block >= model_.description.layers) return;
    const model::BlockWeights weights =
        model::load_block_weights(backend_, model_.source, model_.layout, block);
    for (OpenBatch& batch : open_) batch.run(backend_, model_.description, weights);
  }

  /// Hidden states of the document in row `row` of a batch.
  std::vector<float> hidden(std::size_t index, std::int64_t row) const {
    const OpenBatch& open = open_[index];
    const std::int64_t tokens = open.size(row);
    std::vector<float> host(static_cast<std::size_t>(tokens * model_.description.hidden_size));
    backend_.download(open.hidden().row_range(row * open.batch().length, tokens), host);
    return host;
  }

  void load_head() { head_ = model::load_head_weights(backend_, model_.source, model_.layout); }
  void drop_head() { head_ = {}; }

  std::int64_t piece() const { return piece_; }
  const OpenBatch& batch(std::size_t index) const { return open_[index]; }

  /// Logits of `count` tokens of a batch, [count, vocab_size]; good until the next call.
  std::span<const float> logits(std::size_t index, std::int64_t first, std::int64_t count) {
    const kernels::MatrixView x = normed_.view().row_range(0, count);
    const kernels::MatrixView y = logits_.view().row_range(0, count);
    backend_.rms_norm(open_[index].hidden().row_range(first, count), head_.norm,
                      static_cast<float>(model_.description.rms_norm_eps), x);
    model::head_logits(backend_, head_, model_.description, x, y);
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
  const model::ModelView& model_;
  std::int64_t piece_;
  kernels::Matrix normed_, logits_;
  std::vector<float> host_;
  std::vector<OpenBatch> open_;
  model::HeadWeights head_;
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

StateDifference compare_states(const Side& plain, const Side& other, std::size_t index,
                               std::int64_t block) {
  StateDifference found;
  found.block = block;
  for (std::int64_t row = 0; row < std::ssize(plain.batch(index).batch().documents); ++row) {
    const std::vector<float> x = plain.hidden(index, row);
    const std::vector<float> y = other.hidden(index, row);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double difference = static_cast<double>(y[i]) - x[i];
      found.squared += difference * difference;
      found.plain_squared += static_cast<double>(x[i]) * x[i];
    }
  }
  return found;
}

void require_one_vocabulary(const model::ModelDescription& plain,
                            const model::ModelDescription& other) {
  if (other.vocab_size == plain.vocab_size) return;
  fail(ExitCode::bad_data, "{}: vocab_size is {}, but {} in {}; only one vocabulary is compared",
       other.config_file, other.vocab_size, plain.vocab_size, plain.config_file);
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

bool compare_batches(kernels::Backend& backend, const model::ModelView& plain,
                     const model::ModelView& other, const Documents& documents,
                     const std::vector<DocumentBatch>& batches, const CompareSettings& settings,
                     const std::function<void(const ComparedBatch&)>& take) {
  require_one_vocabulary(plain.description, other.description);
  if (batches.empty()) return true;
  Side side_plain(backend, plain);
  Side side_other(backend, other);
  const std::int64_t token_bytes = (plain.description.hidden_size + other.description.hidden_size) *
                                   static_cast<std::int64_t>(sizeof(float));
  const bool same_shape = plain.description.layers == other.description.layers &&
                          plain.description.hidden_size == other.description.hidden_size;
  for (std::size_t first = 0; first < batches.size();) {
    const std::size_t end = end_of_pass(batches, first, token_bytes, settings.hidden_bytes);
    const auto pass = std::span(batches).subspan(first, end - first);
    double tokens = 0.0;
    for (const DocumentBatch& batch : pass) tokens += static_cast<double>(batch.tokens());
    std::vector<ComparedBatch> found(pass.size());
    side_plain.embed(documents, pass);
    side_other.embed(documents, pass);
    for (std::int64_t block = 0;
         block < std::max(plain.description.layers, other.description.layers); ++block) {
      if (settings.should_stop && settings.should_stop()) return false;
      side_plain.forward(block);
      side_other.forward(block);
      for (std::size_t i = 0; i < pass.size() && same_shape; ++i) {
        found[i].states.push_back(compare_states(side_plain, side_other, i, block));
        found[i].states.back().batch = static_cast<std::int64_t>(first + i);
      }
      if (settings.progress) settings.progress(tokens);
    }
    side_plain.load_head();
    side_other.load_head();
    for (std::size_t i = 0; i < pass.size(); ++i) {
      found[i].batch = static_cast<std::int64_t>(first + i);
      compare_batch(side_plain, side_other, i, plain.description.vocab_size, found[i].tokens);
      take(found[i]);
    }
    side_plain.drop_head();
    side_other.drop_head();
    first = end;
    if (settings.progress) settings.progress(tokens);
  }
  return true;
}

std::vector<TokenComparison> compare_models(kernels::Backend& backend,
                                            const model::ModelView& plain,
                                            const model::ModelView& other,
                                            const Documents& documents,
                                            const std::vector<DocumentBatch>& batches,
                                            const CompareSettings& settings) {
  std::vector<TokenComparison> tokens;
  compare_batches(backend, plain, other, documents, batches, settings,
                  [&](const ComparedBatch& batch) {
                    tokens.insert(tokens.end(), batch.tokens.begin(), batch.tokens.end());
                  });
  return tokens;
}

std::vector<double> errors_along_blocks(std::vector<StateDifference> states) {
  std::sort(states.begin(), states.end(), [](const StateDifference& a, const StateDifference& b) {
    return std::tie(a.block, a.batch) < std::tie(b.block, b.batch);
  });
  std::vector<double> squared, plain_squared;
  for (const StateDifference& state : states) {
    const auto blocks = static_cast<std::size_t>(state.block + 1);
    squared.resize(blocks);
    plain_squared.resize(blocks);
    squared.back() += state.squared;
    plain_squared.back() += state.plain_squared;
  }
  std::vector<double> errors;
  for (std::size_t i = 0; i < squared.size(); ++i) {
    errors.push_back(plain_squared[i] > 0.0 ? std::sqrt(squared[i] / plain_squared[i]) : 0.0);
  }
  return errors;
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

}  // namespace shardquant::evaluation
