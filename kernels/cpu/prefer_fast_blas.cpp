#include <cblas.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "kernels/prepare_process.hpp"

namespace shardquant::kernels {

void prefer_fast_blas(char** argv) {
  constexpr const char* kVariable = "OPENBLAS_CORETYPE";
  constexpr std::array<std::string_view, 5> kVectorCores = {"Haswell", "Zen", "SkylakeX",
                                                            "Cooperlake", "SapphireRapids"};
  if (std::getenv(kVariable) != nullptr) return;
  const std::string_view core = openblas_get_corename();
  if (std::find(kVectorCores.begin(), kVectorCores.end(), core) != kVectorCores.end()) return;

  __builtin_cpu_init();
  const char* better = nullptr;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) better = "HASWELL";
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    better = "SKYLAKEX";
  }
  if (better == nullptr) return;
  setenv(kVariable, better, 0);
  execv("/proc/self/exe", argv);  // on failure go on: slower, not wrong
}

}  // namespace shardquant::kernels
