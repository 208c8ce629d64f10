#include "kernels/cuda/quantizer/factor_hessian.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/api/hessian_damping.hpp"
#include "kernels/cuda/count_nonfinite.hpp"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

std::vector<float> diagonal_of(DeviceContext& context, ConstMatrixView h) {
  DeviceBuffer<float> gathered(context.memory(), h.rows);
  launch_gather_diagonal(h, gathered.get(), context.stream().get());
  std::vector<float> diagonal(static_cast<std::size_t>(h.rows));
  context.download(gathered.get(), std::span(diagonal));
  return diagonal;
}

void require_finite(DeviceContext& context, ConstMatrixView h) {
  std::int64_t first = 0;
  const std::int64_t bad = count_nonfinite(context, h, Part::upper_triangle, first);
  if (bad > 0) refuse_nonfinite_hessian(bad, first, h.cols);
}

// Cholesky of a row-major lower triangle in place by cuSOLVER, to which it is a column-major upper
// one. Whether it was positive definite; the factor may still hold a NaN.
template <class T>
bool factor_lower(DeviceContext& context, T* matrix, std::int64_t n, std::int64_t stride) {
  constexpr cudaDataType_t kType = std::is_same_v<T, double> ? CUDA_R_64F : CUDA_R_32F;
  const CusolverHandle& solver = context.solver();
  std::size_t device_bytes = 0;
  std::size_t host_bytes = 0;
  SHARDQUANT_CUSOLVER_TRY(cusolverDnXpotrf_bufferSize(solver.get(), solver.params(),
                                                      CUBLAS_FILL_MODE_UPPER, n, kType, matrix,
                                                      stride, kType, &device_bytes, &host_bytes));
  DeviceBuffer<std::byte> workspace(context.memory(), static_cast<std::int64_t>(device_bytes));
  std::vector<std::byte> host_workspace(host_bytes);
  DeviceBuffer<int> device_info(context.memory(), 1);
  SHARDQUANT_CUSOLVER_TRY(cusolverDnXpotrf(
      solver.get(), solver.params(), CUBLAS_FILL_MODE_UPPER, n, kType, matrix, stride, kType,
      workspace.get(), device_bytes, host_workspace.data(), host_bytes, device_info.get()));
  int info = 0;
  context.download(device_info.get(), std::span(&info, 1));
  return info == 0;
}

bool factor_in_double(DeviceContext& context, MatrixView h) {
  DeviceBuffer<double> wide(context.memory(), h.size());
  launch_widen_lower(h, wide.get(), context.stream().get());
  if (!factor_lower(context, wide.get(), h.rows, h.cols)) return false;
  launch_narrow_lower(wide.get(), h, context.stream().get());
  return true;
}

// A Hessian in the order of the factor: the original above the diagonal, each try below it.
struct ReversedHessian {
  MatrixView matrix;
  DeviceBuffer<float> diagonal;  // undamped, 1 for a dead input

  // Whether the lower triangle is a factor of the damped matrix.
  bool factor_fits(DeviceContext& context, float damp) const {
    const cudaStream_t stream = context.stream().get();
    const std::vector<double> signs = probe_signs(matrix.rows);
    const auto probe = context.on_device<double>(signs);
    DeviceBuffer<double> inner(context.memory(), matrix.rows);
    DeviceBuffer<double> product(context.memory(), matrix.rows);
    std::vector<double> want(signs.size());
    std::vector<double> got(signs.size());
    launch_symmetric_product(matrix, diagonal.get(), damp, probe.get(), product.get(), stream);
    context.download(product.get(), std::span(want));
    launch_factor_product(matrix, probe.get(), inner.get(), product.get(), stream);
    context.download(product.get(), std::span(got));
    return products_agree(want, got);
  }

  bool try_damping(DeviceContext& context, float damp, FactorMethod method) const {
    launch_mirror_damped(matrix, diagonal.get(), damp, context.stream().get());
    const bool done = method == FactorMethod::fp64
                          ? factor_in_double(context, matrix)
                          : factor_lower(context, matrix.data, matrix.rows, matrix.stride);
    return done && factor_fits(context, damp);
  }
};

// R of H = R R^T is the lower Cholesky factor of the reversed matrix, reversed.
Matrix factor_reversed(DeviceContext& context, Matrix hessian, std::span<const float> original,
                       const QuantizerSettings& settings, HessianFactor& factor) {
  const cudaStream_t stream = context.stream().get();
  const std::vector<std::int32_t> reversed(factor.perm.rbegin(), factor.perm.rend());
  std::vector<float> diagonal;
  for (const std::int32_t index : reversed) {
    const float value = original[static_cast<std::size_t>(index)];
    diagonal.push_back(value == 0.0f ? 1.0f : value);
  }
  Matrix permuted = context.allocate(hessian.rows(), hessian.rows(), hessian.rows());
  launch_permute_symmetric(hessian, context.on_device<std::int32_t>(reversed).get(), permuted,
                           stream);
  hessian = {};

  const ReversedHessian tried{permuted, context.on_device<float>(diagonal)};
  damp_until_factored(damping_step(original, settings), settings, factor, [&](double damp) {
    return tried.try_damping(context, static_cast<float>(damp), settings.factor_method);
  });
  factor.pivots = diagonal_of(context, permuted);
  std::reverse(factor.pivots.begin(), factor.pivots.end());
  launch_reverse_to_unit_factor(permuted, context.on_device<float>(factor.pivots).get(), stream);
  // The 1 keeps a dead input from spoiling the factor; what is lost there changes no output.
  for (std::size_t k = 0; k < factor.perm.size(); ++k) {
    if (original[static_cast<std::size_t>(factor.perm[k])] != 0.0f) continue;
    factor.pivots[k] = std::sqrt(static_cast<float>(factor.damp));
  }
  return permuted;
}

}  // namespace

HessianFactor factor_hessian(DeviceContext& context, Matrix hessian,
                             const QuantizerSettings& settings) {
  require_finite(context, hessian);
  const std::vector<float> diagonal = diagonal_of(context, hessian);
  HessianFactor factor = order_inputs(diagonal, settings);
  if (settings.factor_method == FactorMethod::identity) {
    factor.tries = settings.damping_tries + 1;
    factor.pivots.assign(diagonal.size(), 1.0f);
    launch_set_identity(hessian, context.stream().get());
    factor.unit_factor = std::move(hessian);
    return factor;
  }
  factor.unit_factor = factor_reversed(context, std::move(hessian), diagonal, settings, factor);
  return factor;
}

}  // namespace shardquant::kernels::cuda
