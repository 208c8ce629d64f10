#include "pipeline/model/run_head.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "pipeline/failure.hpp"

namespace shardquant::model {

namespace {

constexpr std::int64_t kEmbedChunk = 1024;
constexpr std::int64_t kLogitBytes = std::int64_t{64} << 20;
constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));

}  // namespace

void embed_tokens(kernels::Backend& backend, const ModelView& model,
                  std::span<const std::int32_t> tokens, kernels::MatrixView hidden) {
  const float scale = model.description.embedding_scale;
  const std::int64_t cols = hidden.cols;
  std::vector<float> rows(static_cast<std::size_t>(std::min(kEmbedChunk, hidden.rows) * cols));
  std::vector<std::int64_t> order;
  for (std::int64_t begin = 0; begin < hidden.rows; begin += kEmbedChunk) {
    const std::int64_t count = std::min(kEmbedChunk, hidden.rows - begin);
    const std::int32_t* chunk = tokens.data() + begin;
    // By token, so that each row of the file is read once.
    order.resize(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::int64_t a, std::int64_t b) { return chunk[a] < chunk[b]; });
    std::int64_t last = -1;
    for (const std::int64_t t : order) {
      float* row = rows.data() + t * cols;
      if (last >= 0 && chunk[last] == chunk[t]) {
        std::copy_n(rows.data() + last * cols, cols, row);
      } else {
        model.source.embedding_row(chunk[t], {row, static_cast<std::size_t>(cols)});
        if (scale != 1.0f) std::for_each_n(row, cols, [scale](float& value) { value *= scale; });
      }
      last = t;
    }
    backend.upload({rows.data(), static_cast<std::size_t>(count * cols)},
                   hidden.row_range(begin, count));
  }
}

HeadWeights load_head_weights(kernels::Backend& backend, const WeightSource& source,
                              const ModelLayout& layout) {
  return {source.norm(backend, layout.plain_tensors[static_cast<std::size_t>(layout.final_norm)]),
          source.weight(backend, layout.head_layer)};
}

std::int64_t head_chunk_tokens(const ModelDescription& description) {
  return std::clamp<std::int64_t>(kLogitBytes / (description.vocab_size * kFloatBytes), 16, 1024);
}

std::int64_t run_head_workspace_bytes(const ModelDescription& description) {
  return head_chunk_tokens(description) * (description.hidden_size + description.vocab_size) *
         kFloatBytes;
}

void head_logits(kernels::Backend& backend, const HeadWeights& weights,
                 const ModelDescription& description, kernels::ConstMatrixView x,
                 kernels::MatrixView logits) {
  backend.linear(x, weights.weight, {}, logits);
  if (description.logit_cap > 0.0f) backend.soft_cap(logits, description.logit_cap);
}

void run_head(kernels::Backend& backend, const HeadWeights& weights,
              const ModelDescription& description, kernels::ConstMatrixView hidden,
              std::span<const std::int32_t> targets, std::span<double> losses,
              const HeadInputTaker& on_head_input) {
  const bool with_losses = !losses.empty();
  const std::int64_t chunk = std::min(head_chunk_tokens(description), hidden.rows);
  kernels::Matrix normed = backend.allocate(chunk, hidden.cols);
  kernels::Matrix logits;
  if (with_losses) logits = backend.allocate(chunk, description.vocab_size);
  for (std::int64_t begin = 0; begin < hidden.rows; begin += chunk) {
    const std::int64_t count = std::min(chunk, hidden.rows - begin);
    const kernels::MatrixView x = normed.view().row_range(0, count);
    backend.rms_norm(hidden.row_range(begin, count), weights.norm,
                     static_cast<float>(description.rms_norm_eps), x);
    if (on_head_input) on_head_input(x);
    if (!with_losses) continue;
    const kernels::MatrixView y = logits.view().row_range(0, count);
    head_logits(backend, weights, description, x, y);
    const auto at = static_cast<std::size_t>(begin);
    const auto size = static_cast<std::size_t>(count);
    backend.negative_log_likelihood(y, targets.subspan(at, size), losses.subspan(at, size));
  }
  for (const double loss : losses) {
    if (std::isfinite(loss)) continue;
    fail(ExitCode::bad_data,
         "{}: lm_head: a logit is NaN or infinite; the weights do not make a working model",
         description.config_file);
  }
}

}  // namespace shardquant::model
