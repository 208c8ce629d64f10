#include "kernels/cuda/factor_hessian.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/api/kernel_error.hpp"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

template <class T>
DeviceBuffer<T> on_device(DeviceContext& context, std::span<const T> values) {
  DeviceBuffer<T> buffer(context.memory(), static_cast<std::int64_t>(values.size()));
  context.upload(std::as_bytes(values), buffer.get());
  return buffer;
}

std::vector<float> diagonal_of(DeviceContext& context, ConstMatrixView h) {
  DeviceBuffer<float> gathered(context.memory(), h.rows);
  launch_gather_diagonal(h, gathered.get(), context.stream().get());
  std::vector<float> diagonal(static_cast<std::size_t>(h.rows));
  SHARDQUANT_CUDA_TRY(cudaMemcpyAsync(diagonal.data(), gathered.get(),
                                      diagonal.size() * sizeof(float), cudaMemcpyDeviceToHost,
                                      context.stream().get()));
  context.stream().synchronize();
  return diagonal;
}

void refuse_nonfinite(std::span<const float> diagonal) {
  for (std::size_t i = 0; i < diagonal.size(); ++i) {
    if (std::isfinite(diagonal[i])) continue;
    throw NumericalError("Hessian diagonal holds NaN or infinity at index " + std::to_string(i));
  }
}

// Cholesky of the lower triangle in place, by cuSOLVER; a row-major lower triangle is a
// column-major upper one.
class LowerCholesky {
 public:
  LowerCholesky(DeviceContext& context, MatrixView h) : context_(context), h_(h) {
    std::size_t device_bytes = 0;
    std::size_t host_bytes = 0;
    const CusolverHandle& solver = context.solver();
    SHARDQUANT_CUSOLVER_TRY(cusolverDnXpotrf_bufferSize(
        solver.get(), solver.params(), CUBLAS_FILL_MODE_UPPER, h.rows, CUDA_R_32F, h.data, h.stride,
        CUDA_R_32F, &device_bytes, &host_bytes));
    workspace_ = DeviceBuffer<std::byte>(context.memory(), static_cast<std::int64_t>(device_bytes));
    host_workspace_.resize(host_bytes);
    info_ = DeviceBuffer<int>(context.memory(), 1);
  }

  /// Whether the matrix was positive definite. Its diagonal may still hold a NaN.
  bool run() {
    const CusolverHandle& solver = context_.solver();
    SHARDQUANT_CUSOLVER_TRY(cusolverDnXpotrf(
        solver.get(), solver.params(), CUBLAS_FILL_MODE_UPPER, h_.rows, CUDA_R_32F, h_.data,
        h_.stride, CUDA_R_32F, workspace_.get(), static_cast<std::size_t>(workspace_.count()),
        host_workspace_.data(), host_workspace_.size(), info_.get()));
    int info = 0;
    SHARDQUANT_CUDA_TRY(cudaMemcpyAsync(&info, info_.get(), sizeof info, cudaMemcpyDeviceToHost,
                                        context_.stream().get()));
    context_.stream().synchronize();
    return info == 0;
  }

 private:
  DeviceContext& context_;
  MatrixView h_;
  DeviceBuffer<std::byte> workspace_;
  std::vector<std::byte> host_workspace_;
  DeviceBuffer<int> info_;
};

// Damps and factors `h` (upper triangle as permuted) until it succeeds. Returns diag(L).
std::vector<float> factor_damped(DeviceContext& context, MatrixView h,
                                 std::span<const float> diagonal, double mean,
                                 const QuantizerSettings& settings, HessianFactor& factor) {
  const DeviceBuffer<float> undamped = on_device(context, diagonal);
  const double step = std::max(settings.damping * mean, settings.damping_floor);
  LowerCholesky cholesky(context, h);
  for (factor.tries = 1;; ++factor.tries) {
    factor.damp += step;
    launch_mirror_damped(h, undamped.get(), static_cast<float>(factor.damp),
                         context.stream().get());
    if (cholesky.run()) {
      std::vector<float> pivots = diagonal_of(context, h);
      const auto is_finite = [](float value) { return std::isfinite(value); };
      if (std::all_of(pivots.begin(), pivots.end(), is_finite)) return pivots;
    }
    if (factor.tries == settings.damping_tries) {
      throw NumericalError("Hessian is not positive definite after adding " +
                           std::to_string(factor.damp) + " to its diagonal in " +
                           std::to_string(factor.tries) + " steps");
    }
  }
}

}  // namespace

HessianFactor factor_hessian(DeviceContext& context, Matrix hessian,
                             const QuantizerSettings& settings) {
  const std::int64_t size = hessian.rows();
  const std::vector<float> original = diagonal_of(context, hessian);
  refuse_nonfinite(original);
  const double mean =
      std::accumulate(original.begin(), original.end(), 0.0) / static_cast<double>(size);

  HessianFactor factor;
  factor.dead_inputs = std::count(original.begin(), original.end(), 0.0f);
  factor.perm.resize(static_cast<std::size_t>(size));
  std::iota(factor.perm.begin(), factor.perm.end(), 0);
  if (settings.sort_inputs) {
    std::stable_sort(factor.perm.begin(), factor.perm.end(), [&](std::int32_t a, std::int32_t b) {
      return original[static_cast<std::size_t>(a)] > original[static_cast<std::size_t>(b)];
    });
  }

  // R of H = R R^T is the lower Cholesky factor of the reversed matrix, reversed.
  const std::vector<std::int32_t> reversed(factor.perm.rbegin(), factor.perm.rend());
  std::vector<float> diagonal;
  for (const std::int32_t index : reversed) {
    diagonal.push_back(original[static_cast<std::size_t>(index)]);
  }
  Matrix permuted = context.allocate(size, size, size);
  const auto order = on_device<std::int32_t>(context, reversed);
  launch_permute_symmetric(hessian, order.get(), permuted, context.stream().get());
  hessian = {};

  std::vector<float> pivots = factor_damped(context, permuted, diagonal, mean, settings, factor);
  std::reverse(pivots.begin(), pivots.end());
  const auto device_pivots = on_device<float>(context, pivots);
  launch_reverse_to_unit_factor(permuted, device_pivots.get(), context.stream().get());
  factor.pivots = std::move(pivots);
  factor.unit_factor = std::move(permuted);
  return factor;
}

}  // namespace shardquant::kernels::cuda
