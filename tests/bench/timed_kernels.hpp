#pragma once

#include <atomic>
#include <chrono>

#include "kernels/cpu/quantizer/group_kernels.hpp"

namespace shardquant::bench {

/// Seconds since some fixed time.
inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Where the time of the inner loops of an EXL2 sweep goes: seconds since reset(), summed over
/// threads.
struct KernelTimes {
  std::atomic<double> solve = 0.0;
  std::atomic<double> search = 0.0;
  std::atomic<double> sweep = 0.0;

  void reset() { solve = search = sweep = 0.0; }
  double sum() const { return solve + search + sweep; }
};

/// Of the calls made through timed_kernels().
inline KernelTimes kernel_times;

/// This machine's inner loops, each call under the clock.
inline kernels::GroupKernels timed_kernels() {
  using namespace kernels;
  GroupKernels timed = select_group_kernels();
  timed.solve_group = [](const GroupPanel& panel, const SweepInput& input, float* given,
                         float* maxima) {
    const double begin = seconds();
    select_group_kernels().solve_group(panel, input, given, maxima);
    kernel_times.solve.fetch_add(seconds() - begin);
  };
  timed.search_shrink = [](const GroupPanel& panel, const ShrinkSearch& search, double* sums) {
    const double begin = seconds();
    select_group_kernels().search_shrink(panel, search, sums);
    kernel_times.search.fetch_add(seconds() - begin);
  };
  timed.sweep_exl2 = [](const GroupPanel& panel, const SweepInput& input, const Exl2Scales& scales,
                        const SweepOutput& output, SweepSums& sums) {
    const double begin = seconds();
    select_group_kernels().sweep_exl2(panel, input, scales, output, sums);
    kernel_times.sweep.fetch_add(seconds() - begin);
  };
  return timed;
}

}  // namespace shardquant::bench
