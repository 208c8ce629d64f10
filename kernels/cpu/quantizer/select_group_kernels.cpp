#include "kernels/cpu/quantizer/group_kernels.hpp"

namespace shardquant::kernels {

const GroupKernels& select_group_kernels() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) {
    return kGroupKernelsAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return kGroupKernelsAvx2;
  return kGroupKernelsBaseline;
}

}  // namespace shardquant::kernels
