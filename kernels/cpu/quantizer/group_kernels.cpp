// Compiled once per instruction set: SHARDQUANT_GROUP_KERNELS names the table this build defines.
#include "kernels/cpu/quantizer/group_kernels.hpp"

#include "kernels/cpu/quantizer/vector_search.hpp"
#include "kernels/cpu/quantizer/vector_sweep.hpp"

namespace shardquant::kernels {
namespace {

void solve_group(const GroupPanel& panel, const SweepInput& input, float* given, float* maxima) {
  for (std::int64_t n = 0; n < panel.cols; n += kLanes) {
    FloatVec solved[kMostGroupRows];
    FloatVec maximum{};
    for (int c = 0; c < panel.rows; ++c) {
      const std::int64_t at = c * input.stride + n;
      const FloatVec w = load(input.weight + at);
      FloatVec even = w - load(input.corrected + at);
      FloatVec odd{};
      const float* column = input.factor + c * panel.rows;
      int r = 0;
      for (; r + 1 < c; r += 2) {
        even -= column[r] * solved[r];
        odd -= column[r + 1] * solved[r + 1];
      }
      if (r < c) even -= column[r] * solved[r];
      solved[c] = even + odd;
      const FloatVec g = w - solved[c];
      store(given + at, g);
      maximum = vec_max(maximum, vec_abs(g));
    }
    store(maxima + n, maximum);
  }
}

void search_shrink(const GroupPanel& panel, const ShrinkSearch& search, double* sums) {
  with_objective(search.objective, [&]<ScaleObjective kObjective>() {
    search_shrink_by<kObjective>(panel, search, sums);
  });
}

void search_affine(const GroupPanel& panel, const AffineSearch& search, float* scales,
                   float* zeros) {
  with_objective(search.objective, [&]<ScaleObjective kObjective>() {
    search_affine_by<kObjective>(panel, search, scales, zeros);
  });
}

}  // namespace

extern const GroupKernels SHARDQUANT_GROUP_KERNELS = {SHARDQUANT_INSTRUCTION_SET,
                                                      solve_group,
                                                      search_shrink,
                                                      search_affine,
                                                      sweep_group<Exl2Vector, Exl2Scales>,
                                                      sweep_group<AffineVector, AffineRowScales>};

}  // namespace shardquant::kernels
