// The measurement of one linear layer, all 24 options, on the CPU back end: seconds of each part,
// and the share of this machine's own sgemm rate that the update GEMMs reach. Usage:
// bench_quantizer THREADS K... (N = K, T = 4096)

#include <cblas.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/quantizer/column_sweep.hpp"
#include "kernels/cpu/quantizer/exl2_groups.hpp"
#include "kernels/prepare_process.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "tests/bench/timed_kernels.hpp"

namespace {

using namespace shardquant::kernels;

using shardquant::bench::kernel_times;
using shardquant::bench::seconds;
using Cut = std::vector<RowGroup>;

/// Operations of the update GEMMs: every row that no earlier option shares, by all rows before it.
double gemm_operations(const std::vector<Cut>& options, std::int64_t rows, std::int64_t cols) {
  const std::vector<std::size_t> order = sharing_order(options);
  double operations = 0.0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto kept =
        static_cast<double>(i == 0 ? 0 : shared_rows(options[order[i]], options[order[i - 1]]));
    const auto all = static_cast<double>(rows);
    operations += (all * all - kept * kept) * static_cast<double>(cols);
  }
  return operations;
}

/// As measure_options does it, with the clock on the inner loops; the last option's error.
OptionError sweep_options(ConstMatrixView weight, const HessianFactor& factor,
                          const std::vector<Cut>& options, int threads) {
  const QuantizerSettings settings;
  const GroupKernels kernels = shardquant::bench::timed_kernels();
  Exl2Groups grid(weight, factor, settings, kernels, threads);
  ColumnSweep sweep(weight, factor, grid, threads);
  OptionError last;
  for (const std::size_t index : sharing_order(options)) {
    const OptionError error = sweep.run(options[index], {});
    if (index + 1 == options.size()) last = error;
  }
  return last;
}

/// Operations per second of one thread's square sgemm, best of three.
double sgemm_rate() {
  constexpr int kSize = 2048;
  std::vector<float> a(kSize * kSize, 0.5f), b(a), c(a.size());
  double best = 0.0;
  for (int i = 0; i < 3; ++i) {
    const double begin = seconds();
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, kSize, kSize, kSize, 1.0f, a.data(),
                kSize, b.data(), kSize, 0.0f, c.data(), kSize);
    best = std::max(best, 2.0 * kSize * kSize * kSize / (seconds() - begin));
  }
  return best;
}

void bench(std::int64_t k, int threads) {
  constexpr std::int64_t kTokens = 4096;
  CpuBackend backend(threads);
  std::mt19937_64 random(20230916);
  std::normal_distribution<float> normal;
  Matrix x = backend.allocate(kTokens, k);
  for (std::int64_t j = 0; j < k; ++j) {
    const float channel = std::exp(normal(random));
    for (std::int64_t t = 0; t < kTokens; ++t) x.view().row(t)[j] = channel * normal(random);
  }
  std::vector<float> stored(static_cast<std::size_t>(k * k));
  for (float& value : stored) value = 0.02f * normal(random);
  std::vector<std::vector<RowGroup>> options;
  for (const shardquant::exl2::QuantOption& option : shardquant::exl2::exl2_2023_options()) {
    options.push_back(shardquant::exl2::cut_into_groups(option, k));
  }

  const double rate = sgemm_rate();
  const double begin = seconds();
  Matrix h = backend.allocate(k, k);
  backend.fill_zero(h);
  backend.accumulate_hessian(x, 2.0f / 8, h);
  const double hessian = seconds();
  const HessianFactor factor = backend.factor_hessian(std::move(h), {});
  const double factored = seconds();
  const Matrix weight = backend.permuted_transpose(
      {reinterpret_cast<const std::byte*>(stored.data()), ElementType::f32, k, k}, factor.perm);
  const WeightNorms norms = backend.weight_norms(weight, factor, {}, 1);
  const double normed = seconds();
  kernel_times.reset();
  const OptionError last = sweep_options(weight, factor, options, threads);
  const double end = seconds();

  const double per_thread = 1.0 / threads;
  const double update = (end - normed) * threads - kernel_times.sum();
  std::printf(
      "{\"K\": %lld, \"threads\": %d, \"total\": %.3f, \"hessian\": %.3f, \"factor\": %.3f, "
      "\"norms\": %.3f, \"options\": %.3f, \"update_gemm\": %.3f, \"group_solve\": %.3f, "
      "\"scale_search\": %.3f, \"sweep\": %.3f, \"sgemm_gflops_thread\": %.1f, "
      "\"update_share_of_sgemm\": %.3f, \"err_8bit\": %.6f}\n",
      static_cast<long long>(k), threads, end - begin, hessian - begin, factored - hessian,
      normed - factored, end - normed, update * per_thread, kernel_times.solve * per_thread,
      kernel_times.search * per_thread, kernel_times.sweep * per_thread, rate / 1e9,
      gemm_operations(options, k, k) / update / rate,
      std::sqrt(last.loss(factor.damp) / norms.output(factor.damp)));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  prefer_fast_blas(argv);
  if (argc < 3) {
    std::fprintf(stderr, "usage: bench_quantizer THREADS K...\n");
    return 64;
  }
  for (int i = 2; i < argc; ++i) bench(std::atoll(argv[i]), std::atoi(argv[1]));
}
