#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "kernels/api/matrix.hpp"

namespace shardquant::kernels {

/// Shape of an attention step over rows (sequences) laid one after another.
struct AttentionShape {
  std::int64_t row_length = 0;  ///< tokens of one sequence; the token count is a multiple of it
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;  ///< divides heads
  std::int64_t head_dim = 0;
  std::int64_t window = 0;  ///< tokens a query sees, itself included; 0: all before it
  float scale = 0.0f;       ///< of the scores; 0: 1 / sqrt(head_dim)

  float score_scale() const {
    return scale != 0.0f ? scale
                         : static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim)));
  }
};

/// What a gated MLP makes of its gate.
enum class Activation {
  silu,       ///< x / (1 + exp(-x))
  gelu_tanh,  ///< x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), transformers'
              ///< gelu_pytorch_tanh
};

/// The numbers of a forward pass, in a device's memory. T tokens; results do not depend on the
/// number of threads.
class ForwardOps {
 public:
  virtual ~ForwardOps() = default;

  /// A stored weight [N, K] in the form `linear` wants.
  virtual Matrix load_weight(const HostTensor& weight) = 0;

  /// out[t] = x[t] / sqrt(mean(x[t]^2) + epsilon) * weight. x, out: [T, C], may be the same;
  /// weight: [1, C]
  virtual void rms_norm(ConstMatrixView x, ConstMatrixView weight, float epsilon,
                        MatrixView out) = 0;
  /// out = x weight^T (+ bias). x: [T, K]; weight: [N, K]; bias: [1, N] or empty view; out: [T, N]
  virtual void linear(ConstMatrixView x, ConstMatrixView weight, ConstMatrixView bias,
                      MatrixView out) = 0;
  /// out = a b. a: [M, L]; b: [L, N]; out: [M, N]
  virtual void multiply(ConstMatrixView a, ConstMatrixView b, MatrixView out) = 0;
  /// Rotary embedding in place, Hugging Face's half-split layout: element i of a head is paired
  /// with i + head_dim / 2. x: [T, heads * head_dim]; cosines, sines: [row_length, head_dim / 2];
  /// token t has position t mod row_length.
  virtual void rotate(MatrixView x, std::int64_t heads, ConstMatrixView cosines,
                      ConstMatrixView sines) = 0;
  /// Causal softmax(q k^T scale) v within each row, grouped-query.
  /// q, out: [T, heads * head_dim]; k, v: [T, kv_heads * head_dim]
  virtual void causal_attention(ConstMatrixView q, ConstMatrixView k, ConstMatrixView v,
                                const AttentionShape& shape, MatrixView out) = 0;
  /// gate = activation(gate) * up, [T, F]
  virtual void gated_product(MatrixView gate, ConstMatrixView up, Activation activation) = 0;
  /// x = cap tanh(x / cap), [T, C]. @pre cap > 0
  virtual void soft_cap(MatrixView x, float cap) = 0;
  /// x += y, [T, C]
  virtual void add(MatrixView x, ConstMatrixView y) = 0;
  /// losses[t] = -log softmax(logits[t])[targets[t]]; a negative target leaves losses[t] at 0.
  /// logits: [T, V], may be overwritten; targets, losses: [T] host
  virtual void negative_log_likelihood(MatrixView logits, std::span<const std::int32_t> targets,
                                       std::span<double> losses) = 0;
  /// Number of NaN or infinite elements, and the flat index of the first one through `first`.
  virtual std::int64_t count_nonfinite(ConstMatrixView x, std::int64_t& first) = 0;
};

}  // namespace shardquant::kernels
