// Measures what one thread of this machine does per second, as stages::WorkAmount counts it, on one
// block of a Llama model with random numbers, and prints a machine profile for `shardquant plan
// --machine FILE.yaml`. Usage: bench_profile [HIDDEN FFN] > FILE.yaml (1536 4096)

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <random>
#include <vector>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/quantizer/column_sweep.hpp"
#include "kernels/cpu/quantizer/exl2_groups.hpp"
#include "kernels/prepare_process.hpp"
#include "pipeline/formats/weights/exl2/exl2_format.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "pipeline/model/families/families.hpp"
#include "pipeline/waves/work_cost.hpp"
#include "tests/bench/timed_kernels.hpp"

namespace {

using namespace shardquant;
using kernels::ConstMatrixView;
using kernels::CpuBackend;
using kernels::Matrix;

constexpr std::int64_t kTokens = 4096;
constexpr std::int64_t kLength = 256;

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

model::ModelDescription one_block(std::int64_t hidden, std::int64_t ffn) {
  model::ModelDescription description;
  description.family = model::find_family("LlamaForCausalLM");
  description.layers = 1;
  description.hidden_size = hidden;
  description.intermediate_size = ffn;
  description.head_dim = 128;
  description.heads = hidden / description.head_dim;
  description.kv_heads = description.heads;
  description.vocab_size = 1024;
  description.windows = {0};
  return description;
}

class ProfileBench {
 public:
  explicit ProfileBench(const model::ModelDescription& description)
      : description_(description), layout_(model::lay_out_model(description)) {}

  // Seconds by kind of operation, of all that one rank does with one block.
  void run() {
    for (const model::HessianGroup& group : layout_.groups) {
      if (group.block == 0) run_group(group);
    }
    run_attention();
  }

  // Operations of the same.
  waves::WorkAmount amount() const {
    waves::WorkAmount sum = waves::block_work(layout_, 0, kTokens, kLength);
    for (const model::HessianGroup& group : layout_.groups) {
      if (group.block != 0) continue;
      const auto units = waves::measure_units(layout_, group, exl2::exl2_format());
      sum += units.work(0, units.count());
    }
    return sum;
  }

  const waves::WorkAmount& seconds() const { return seconds_; }

 private:
  Matrix random_matrix(std::int64_t rows, std::int64_t cols, float spread) {
    Matrix matrix = backend_.allocate(rows, cols);
    std::normal_distribution<float> normal;
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < cols; ++c) matrix.view().row(r)[c] = spread * normal(random_);
    }
    return matrix;
  }

  void run_group(const model::HessianGroup& group) {
    const std::int64_t k = group.inputs;
    const Matrix x = random_matrix(kTokens, k, 1.0f);
    Matrix h = backend_.allocate(k, k);
    backend_.fill_zero(h);
    seconds_.hessian +=
        seconds_of([&] { backend_.accumulate_hessian(x, 2.0f / kTokens * kLength, h); });
    std::optional<kernels::HessianFactor> factor;
    seconds_.factor +=
        seconds_of([&] { factor = backend_.factor_hessian(std::move(h), settings_); });
    for (const std::int64_t layer : group.layers) {
      run_layer(layout_.linear_layers[static_cast<std::size_t>(layer)], x, *factor);
    }
  }

  void run_layer(const model::LinearLayer& layer, const Matrix& x,
                 const kernels::HessianFactor& factor) {
    std::vector<float> stored(static_cast<std::size_t>(layer.parameters()));
    std::normal_distribution<float> normal;
    for (float& value : stored) value = 0.02f * normal(random_);
    const kernels::HostTensor tensor{reinterpret_cast<const std::byte*>(stored.data()),
                                     kernels::ElementType::f32, layer.outputs, layer.inputs};
    Matrix y = backend_.allocate(kTokens, layer.outputs);
    seconds_.forward +=
        seconds_of([&] { backend_.linear(x, backend_.load_weight(tensor), {}, y); });
    std::vector<std::vector<kernels::RowGroup>> options;
    for (const exl2::QuantOption& option : exl2::exl2_2023_options()) {
      options.push_back(exl2::cut_into_groups(option, layer.inputs));
    }
    Matrix weight;
    seconds_.update += seconds_of([&] {
      weight = backend_.permuted_transpose(tensor, factor.perm);
      backend_.weight_norms(weight, factor, {}, 1);
    });
    const kernels::GroupKernels timed = bench::timed_kernels();
    kernels::Exl2Groups grid(weight, factor, settings_, timed, 1);
    kernels::ColumnSweep sweep(weight, factor, grid, 1);
    bench::kernel_times.reset();
    const double all = seconds_of([&] {
      for (const std::size_t index : kernels::sharing_order(options)) sweep.run(options[index], {});
    });
    seconds_.search += bench::kernel_times.search;
    seconds_.weights += bench::kernel_times.sweep;
    seconds_.update += all - bench::kernel_times.search - bench::kernel_times.sweep;
  }

  // With the element-wise work around it.
  void run_attention() {
    const std::int64_t width = description_.heads * description_.head_dim;
    const Matrix q = random_matrix(kTokens, width, 1.0f);
    const Matrix k = random_matrix(kTokens, width, 1.0f);
    const Matrix v = random_matrix(kTokens, width, 1.0f);
    const Matrix norm = random_matrix(1, width, 1.0f);
    Matrix out = backend_.allocate(kTokens, width);
    Matrix gate = random_matrix(kTokens, description_.intermediate_size, 1.0f);
    const Matrix up = random_matrix(kTokens, description_.intermediate_size, 1.0f);
    kernels::AttentionShape shape;
    shape.heads = shape.kv_heads = description_.heads;
    shape.head_dim = description_.head_dim;
    shape.row_length = kLength;
    seconds_.forward += seconds_of([&] {
      backend_.causal_attention(q, k, v, shape, out);
      backend_.gated_product(gate, up, kernels::Activation::silu);
      backend_.rms_norm(q, norm, 1e-5f, out);
      backend_.rms_norm(v, norm, 1e-5f, out);
      backend_.add(out, k);
      backend_.add(out, v);
    });
  }

  const model::ModelDescription& description_;
  model::ModelLayout layout_;
  CpuBackend backend_{1};
  kernels::QuantizerSettings settings_;
  std::mt19937_64 random_{20230916};
  waves::WorkAmount seconds_;
};

// 1e9 bytes per second to a file of the current folder and back from it, which is mostly from
// memory.
struct DiskRates {
  double read = 0.0, write = 0.0;
};

DiskRates disk_rates() {
  constexpr std::size_t kBytes = std::size_t{256} << 20;
  std::vector<char> bytes(kBytes, 'x');
  char name[] = "bench_profile.XXXXXX";
  const int file = ::mkstemp(name);
  if (file < 0) return {};
  ::unlink(name);
  bool whole = true;
  const double writing = seconds_of([&] {
    whole = ::pwrite(file, bytes.data(), kBytes, 0) == static_cast<ssize_t>(kBytes) &&
            ::fsync(file) == 0;
  });
  const double reading = seconds_of([&] {
    whole = whole && ::pread(file, bytes.data(), kBytes, 0) == static_cast<ssize_t>(kBytes);
  });
  ::close(file);
  return whole ? DiskRates{kBytes / reading / 1e9, kBytes / writing / 1e9} : DiskRates{};
}

}  // namespace

int main(int argc, char** argv) {
  kernels::prefer_fast_blas(argv);
  if (argc != 1 && argc != 3) {
    std::fprintf(stderr, "usage: bench_profile [HIDDEN FFN] > FILE.yaml\n");
    return 64;
  }
  const model::ModelDescription description =
      argc == 3 ? one_block(std::atoll(argv[1]), std::atoll(argv[2])) : one_block(1536, 4096);
  ProfileBench bench(description);
  bench.run();
  const waves::WorkAmount amount = bench.amount();
  const waves::WorkAmount& seconds = bench.seconds();
  const DiskRates disk = disk_rates();
  if (disk.write == 0.0) {
    std::fprintf(stderr, "bench_profile: no file can be written here\n");
    return 74;
  }
  const auto rate = [](double operations, double time) { return operations / time / 1e9; };
  const long cores = ::sysconf(_SC_NPROCESSORS_ONLN);
  const double memory = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) *
                        static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 30);
  fmt::print(
      "# Measured by tests/bench/bench_profile; the network is assumed.\n"
      "version: 1\n"
      "about: {} cores of this machine ({}), measured\n"
      "node: {{ranks: {}, cores: {}, host_gib: {:.0f}}}\n"
      "device: {{memory_gib: 0}}\n"
      "rates_are: per_thread\n"
      "forward_gflops: {:.3g}\nhessian_gflops: {:.3g}\nfactor_gflops: {:.3g}\n"
      "update_gflops: {:.3g}\nsearch_gsteps: {:.3g}\nsweep_gweights: {:.3g}\n"
      "read_gb_s: {:.3g}\nwrite_gb_s: {:.3g}\nnetwork_gb_s: 2\n",
      cores, CpuBackend(1).description(), cores, cores, std::floor(memory),
      rate(amount.forward, seconds.forward), rate(amount.hessian, seconds.hessian),
      rate(amount.factor, seconds.factor), rate(amount.update, seconds.update),
      rate(amount.search, seconds.search), rate(amount.weights, seconds.weights), disk.read,
      disk.write);
}
