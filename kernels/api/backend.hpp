#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/api/matrix.hpp"
#include "kernels/api/quantizer_types.hpp"

namespace shardquant::kernels {

/// Shape of an attention step over rows (sequences) laid one after another.
struct AttentionShape {
  std::int64_t row_length = 0;  ///< tokens of one sequence; the token count is a multiple of it
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;  ///< divides heads
  std::int64_t head_dim = 0;
  std::int64_t window = 0;  ///< tokens a query sees, itself included; 0: all before it
};

/// Every number the run computes on one device. Matrices are fp32, row major, in this back end's
/// memory unless said otherwise. The calls are synchronous as seen by the host, results do not
/// depend on the number of threads. Not thread safe: one back end per rank.
class Backend {
 public:
  virtual ~Backend() = default;

  /// "cpu (AVX-512, 2 threads)".
  virtual std::string description() const = 0;
  /// Tells the device from all others of this machine; empty for the host's processor.
  virtual std::string device_identity() const { return {}; }

  /// See NamedRange. Ranges may nest.
  virtual void begin_range(const std::string&) {}
  virtual void end_range() noexcept {}

  // Memory

  /// Uninitialized [rows, cols]. @throws DeviceOutOfMemory
  virtual Matrix allocate(std::int64_t rows, std::int64_t cols) = 0;
  virtual void fill_zero(MatrixView matrix) = 0;
  /// host: rows * cols floats, dense.
  virtual void upload(std::span<const float> host, MatrixView matrix) = 0;
  virtual void download(ConstMatrixView matrix, std::span<float> host) = 0;
  /// A stored weight [N, K] in the form `linear` wants.
  virtual Matrix load_weight(const HostTensor& weight) = 0;

  // Forward pass; T tokens

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
  /// Causal softmax(q k^T / sqrt(head_dim)) v within each row, grouped-query.
  /// q, out: [T, heads * head_dim]; k, v: [T, kv_heads * head_dim]
  virtual void causal_attention(ConstMatrixView q, ConstMatrixView k, ConstMatrixView v,
                                const AttentionShape& shape, MatrixView out) = 0;
  /// gate = silu(gate) * up, [T, F]
  virtual void silu_product(MatrixView gate, ConstMatrixView up) = 0;
  /// x += y, [T, C]
  virtual void add(MatrixView x, ConstMatrixView y) = 0;
  /// losses[t] = -log softmax(logits[t])[targets[t]]; a negative target leaves losses[t] at 0.
  /// logits: [T, V], may be overwritten; targets, losses: [T] host
  virtual void negative_log_likelihood(MatrixView logits, std::span<const std::int32_t> targets,
                                       std::span<double> losses) = 0;
  /// Number of NaN or infinite elements, and the flat index of the first one through `first`.
  virtual std::int64_t count_nonfinite(ConstMatrixView x, std::int64_t& first) = 0;

  // Quantizer (design.md section 3)

  /// Upper triangle of hessian += scale x^T x. x: [T, K]; hessian: [K, K], below the diagonal
  /// untouched
  virtual void accumulate_hessian(ConstMatrixView x, float scale, MatrixView hessian) = 0;
  /// Steps 1 to 3 with settings.factor_method. hessian: [K, K], upper triangle read, consumed (its
  /// memory becomes the factor). A zero on the diagonal is taken as 1. With a fixed x of +-1, a
  /// factor of which ||R R^T x - (H + damp I) x|| > 1e-2 ||(H + damp I) x|| counts as none.
  /// @throws NotPositiveDefinite when the method finds no factor; NumericalError with the first
  /// index and the count, where the upper triangle holds NaN or infinity
  virtual HessianFactor factor_hessian(Matrix hessian, const QuantizerSettings& settings) = 0;
  /// W = permuted transpose of a stored weight: [N, K] -> [K, N], row k = column perm[k], in the
  /// layout that the calls below take (a back end may pad the stride; the padding is zero).
  virtual Matrix permuted_transpose(const HostTensor& weight,
                                    std::span<const std::int32_t> perm) = 0;
  /// Denominators for the errors of `weight` [K, N]. sketches: [B * sketch_rows, K] in permuted
  /// column order, or empty; block r is rows [r * sketch_rows, (r + 1) * sketch_rows).
  virtual WeightNorms weight_norms(ConstMatrixView weight, const HessianFactor& factor,
                                   ConstMatrixView sketches, std::int64_t sketch_rows) = 0;
  /// Error of every option on `weight` [K, N] permuted; each option is a list of groups covering
  /// [0, K). Shared beginnings are quantized once.
  virtual std::vector<OptionError> measure_options(ConstMatrixView weight,
                                                   const HessianFactor& factor,
                                                   std::span<const std::vector<RowGroup>> options,
                                                   const QuantizerSettings& settings,
                                                   ConstMatrixView sketches,
                                                   std::int64_t sketch_rows) = 0;
  /// The same sweep for one option, with its codes.
  virtual QuantizedMatrix quantize(ConstMatrixView weight, const HessianFactor& factor,
                                   std::span<const RowGroup> groups,
                                   const QuantizerSettings& settings) = 0;
};

}  // namespace shardquant::kernels
