#include "kernels/cuda/forward/causal_attention.hpp"

#include <algorithm>

#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/forward/forward_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

// Queries whose scores are held at a time, for all heads.
constexpr std::int64_t kQueryBlock = 256;

// Products of the heads that share one key and value head would repeat it, which a strided batch
// can only do for all kv heads at once; so there is one call per head of such a family.
struct Heads {
  const AttentionShape& shape;
  std::int64_t family() const { return shape.heads / shape.kv_heads; }
  std::int64_t between_queries() const { return family() * shape.head_dim; }
};

}  // namespace

void causal_attention(DeviceContext& context, ConstMatrixView q, ConstMatrixView k,
                      ConstMatrixView v, const AttentionShape& shape, MatrixView out) {
  const Heads heads{shape};
  const std::int64_t length = shape.row_length;
  const std::int64_t dim = shape.head_dim;
  const std::int64_t window = shape.window > 0 ? shape.window : length;
  const float scale = shape.score_scale();
  const float one = 1.0f;
  const float zero = 0.0f;
  const std::int64_t most_queries = std::min(kQueryBlock, length);
  DeviceBuffer<float> scores(context.memory(), shape.heads * most_queries * length);
  for (std::int64_t row = 0; row < q.rows; row += length) {
    for (std::int64_t from = 0; from < length; from += most_queries) {
      const std::int64_t queries = std::min(most_queries, length - from);
      const std::int64_t oldest = std::max<std::int64_t>(0, from - window + 1);
      const std::int64_t keys = from + queries - oldest;
      const std::int64_t head_scores = queries * keys;
      for (std::int64_t member = 0; member < heads.family(); ++member) {
        SHARDQUANT_CUBLAS_TRY(cublasSgemmStridedBatched_64(
            context.blas(), CUBLAS_OP_T, CUBLAS_OP_N, keys, queries, dim, &scale,
            k.row(row + oldest), k.stride, dim, q.row(row + from) + member * dim, q.stride,
            heads.between_queries(), &zero, scores.get() + member * head_scores, keys,
            heads.family() * head_scores, shape.kv_heads));
      }
      launch_causal_softmax(scores.get(), {shape.heads, queries, keys, from, oldest, window},
                            context.stream().get());
      for (std::int64_t member = 0; member < heads.family(); ++member) {
        SHARDQUANT_CUBLAS_TRY(cublasSgemmStridedBatched_64(
            context.blas(), CUBLAS_OP_N, CUBLAS_OP_N, dim, queries, keys, &one, v.row(row + oldest),
            v.stride, dim, scores.get() + member * head_scores, keys, heads.family() * head_scores,
            &zero, out.row(row + from) + member * dim, out.stride, heads.between_queries(),
            shape.kv_heads));
      }
    }
  }
}

}  // namespace shardquant::kernels::cuda
