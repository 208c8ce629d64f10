// bench_cuda [KxN ...]: time of each stage of the measurement of one layer on the CUDA device, 24
// options, beside its floor from the rates measured in the same run (one Cholesky, shared
// beginnings, error from the sweep). The table is markdown.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/api/kernel_error.hpp"
#include "kernels/make_backend.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"

namespace {

using namespace shardquant::kernels;

constexpr std::int64_t kTokens = 2048;
constexpr int kFactors = 49;
// Evaluations per second on an H200: 3.35e13 operations of lanes, 13 each.
constexpr double kSearchRate = 2.6e12;

struct Shape {
  std::int64_t inputs;
  std::int64_t outputs;
};

// Seconds of `work`, the queue of the device drained before and after.
double timed(Backend& backend, const std::function<void()>& work) {
  Matrix probe = backend.allocate(1, 1);
  std::vector<float> one(1, 1.0f);
  backend.upload(one, probe);
  backend.download(probe, one);
  const auto begin = std::chrono::steady_clock::now();
  work();
  backend.download(probe, one);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::vector<float> normal_values(std::int64_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

Matrix random_matrix(Backend& backend, std::int64_t rows, std::int64_t cols) {
  Matrix matrix = backend.allocate(rows, cols);
  backend.upload(normal_values(rows * cols), matrix);
  return matrix;
}

// bf16 bits of small numbers: a stored weight of the shape.
std::vector<std::uint16_t> stored_weight(const Shape& shape) {
  std::vector<std::uint16_t> bits(static_cast<std::size_t>(shape.inputs * shape.outputs));
  std::mt19937 random(2);
  for (std::uint16_t& value : bits) {
    value = static_cast<std::uint16_t>((random() & 0x807fu) | 0x3c00u);
  }
  return bits;
}

// FLOP per second of fp32 products, as the sweep makes them.
double fp32_rate(Backend& backend) {
  constexpr std::int64_t kSize = 4096;
  const Matrix a = random_matrix(backend, kSize, kSize);
  Matrix out = backend.allocate(kSize, kSize);
  const auto work = [&] { backend.multiply(a, a, out); };
  work();
  return 2.0 * kSize * kSize * kSize / timed(backend, work);
}

void row(const char* stage, double seconds, double floor) {
  std::printf("| %s | %.4f | %.4f | %.2f |\n", stage, seconds, floor, seconds / floor);
  std::fflush(stdout);
}

void run(Backend& backend, const Shape& shape) {
  const auto k = static_cast<double>(shape.inputs);
  const auto n = static_cast<double>(shape.outputs);
  const double fp32 = fp32_rate(backend);
  std::printf("\n%lld inputs, %lld outputs, %lld tokens; fp32 products %.1f TFLOP/s\n\n",
              static_cast<long long>(shape.inputs), static_cast<long long>(shape.outputs),
              static_cast<long long>(kTokens), fp32 / 1e12);
  std::printf("| stage | seconds | floor | ratio |\n|---|---|---|---|\n");

  const std::vector<std::uint16_t> bits = stored_weight(shape);
  const HostTensor stored{reinterpret_cast<const std::byte*>(bits.data()), ElementType::bf16,
                          shape.outputs, shape.inputs};
  Matrix x = random_matrix(backend, kTokens, shape.inputs);
  double forward = 0.0;
  {
    const Matrix weight = backend.load_weight(stored);
    Matrix out = backend.allocate(kTokens, shape.outputs);
    const auto work = [&] { backend.linear(x, weight, {}, out); };
    work();
    forward = timed(backend, work);
  }
  constexpr double kPasses = 3.0;  // bf16 products that stand for one of fp32 numbers
  const double bf16 = kPasses * 2.0 * kTokens * k * n / forward;
  std::printf("| linear (%.0f bf16 TFLOP/s in %.0f passes) | %.4f | | |\n", bf16 / 1e12, kPasses,
              forward);

  Matrix hessian = backend.allocate(shape.inputs, shape.inputs);
  backend.fill_zero(hessian);
  const auto accumulate = [&] { backend.accumulate_hessian(x, 1.0f, hessian); };
  accumulate();
  row("Hessian", timed(backend, accumulate), kTokens * k * k / bf16);

  HessianFactor factor;
  const double factoring = timed(
      backend, [&] { factor = backend.factor_hessian(std::move(hessian), QuantizerSettings{}); });
  row("factor", factoring, k * k * k / 3.0 / fp32);
  Matrix weight;
  const double transposing =
      timed(backend, [&] { weight = backend.permuted_transpose(stored, factor.perm); });
  row("permuted transpose", transposing, 2.0 * k * n / 20e9);  // PCIe
  const double norms = timed(backend, [&] { backend.weight_norms(weight, factor, {}, 1); });
  row("norms", norms, n * k * k / fp32);

  std::vector<WeightRecipe> options;
  for (const shardquant::exl2::QuantOption& option : shardquant::exl2::exl2_2023_options()) {
    options.push_back(shardquant::exl2::cut_into_groups(option, shape.inputs));
  }
  const auto measure = [&] { backend.measure_options(weight, factor, options, {}, {}, 1); };
  const double count = static_cast<double>(options.size());
  constexpr double kDistinctRows = 0.82;  // of the products, with shared beginnings
  constexpr double kDistinctSearches = 0.894;
  row("24 options", timed(backend, measure),
      kDistinctRows * count * n * k * k / fp32 +
          kDistinctSearches * count * kFactors * k * n / kSearchRate);
  const double one = timed(backend, [&] { backend.quantize(weight, factor, options[12], {}); });
  row("quantize, one option", one, n * k * k / fp32 + kFactors * k * n / kSearchRate);
}

std::vector<Shape> shapes_of(int argc, char** argv) {
  std::vector<Shape> shapes;
  for (int i = 1; i < argc; ++i) {
    char* rest = nullptr;
    const std::int64_t inputs = std::strtoll(argv[i], &rest, 10);
    shapes.push_back({inputs, *rest == 'x' ? std::strtoll(rest + 1, nullptr, 10) : inputs});
  }
  if (shapes.empty()) shapes = {{8192, 8192}, {8192, 28672}, {28672, 8192}, {16384, 53248}};
  return shapes;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::string reason;
    const auto backend = make_backend(DeviceKind::cuda, 1, reason);
    std::printf("%s\n", backend->description().c_str());
    for (const Shape& shape : shapes_of(argc, argv)) run(*backend, shape);
  } catch (const BackendUnavailable& error) {
    std::printf("SKIPPED: %s\n", error.what());
    return 77;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_cuda: %s\n", error.what());
    return 1;
  }
}
