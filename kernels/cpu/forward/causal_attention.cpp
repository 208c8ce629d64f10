#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <vector>

#include "kernels/cpu/forward/fast_exp.hpp"
#include "kernels/cpu/forward/forward_kernels.hpp"
#include "kernels/cpu/forward/lane_reductions.hpp"

namespace shardquant::kernels {

namespace {

constexpr std::int64_t kQueryBlock = 64;

/// Softmax over scores[first, last), zero elsewhere in [0, count).
void softmax(float* scores, std::int64_t first, std::int64_t last, std::int64_t count) {
  float* seen = scores + first;
  const std::int64_t length = last - first;
  const float highest = lane_max(seen, length);
  for (std::int64_t i = 0; i < length; ++i) seen[i] = fast_exp(seen[i] - highest);
  const auto scale = static_cast<float>(1.0 / lane_sum(seen, length));
  for (std::int64_t i = 0; i < length; ++i) seen[i] *= scale;
  std::fill(scores, seen, 0.0f);
  std::fill(scores + last, scores + count, 0.0f);
}

}  // namespace

void causal_attention(ConstMatrixView q, ConstMatrixView k, ConstMatrixView v,
                      const AttentionShape& shape, MatrixView out, int threads) {
  const std::int64_t length = shape.row_length;
  const std::int64_t dim = shape.head_dim;
  const std::int64_t shared_by = shape.heads / shape.kv_heads;
  const std::int64_t blocks = (length + kQueryBlock - 1) / kQueryBlock;
  const std::int64_t items = q.rows / length * shape.heads * blocks;
  const std::int64_t window = shape.window > 0 ? shape.window : length;
  const float scale = shape.score_scale();
  std::vector<float> scores_of_threads(static_cast<std::size_t>(threads * kQueryBlock * length));
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (std::int64_t item = 0; item < items; ++item) {
    float* scores = scores_of_threads.data() + omp_get_thread_num() * kQueryBlock * length;
    const std::int64_t row = item / (shape.heads * blocks) * length;
    const std::int64_t head = item / blocks % shape.heads;
    // Late blocks take longest, so they go first.
    const std::int64_t from = (blocks - 1 - item % blocks) * kQueryBlock;
    const std::int64_t queries = std::min(kQueryBlock, length - from);
    const std::int64_t oldest = std::max<std::int64_t>(0, from - window + 1);
    const std::int64_t keys = from + queries - oldest;
    const std::int64_t q_at = head * dim;
    const std::int64_t kv_at = head / shared_by * dim;
    const auto m = static_cast<blasint>(queries);
    const auto n = static_cast<blasint>(keys);
    const auto d = static_cast<blasint>(dim);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, d, scale, q.row(row + from) + q_at,
                static_cast<blasint>(q.stride), k.row(row + oldest) + kv_at,
                static_cast<blasint>(k.stride), 0.0f, scores, n);
    for (std::int64_t i = 0; i < queries; ++i) {
      const std::int64_t position = from + i;
      const std::int64_t first = std::max<std::int64_t>(0, position - window + 1) - oldest;
      softmax(scores + i * keys, first, position + 1 - oldest, keys);
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, d, n, 1.0f, scores, n,
                v.row(row + oldest) + kv_at, static_cast<blasint>(v.stride), 0.0f,
                out.row(row + from) + q_at, static_cast<blasint>(out.stride));
  }
}

}  // namespace shardquant::kernels
