set(quantizer_sources
  accumulate_hessian.cpp factor_hessian.cpp permuted_transpose.cpp
  affine_groups.cpp column_sweep.cpp exl2_groups.cpp find_affine_scales.cpp
  quantize_matrix.cpp weight_norms.cpp sketched_norms.cpp
  select_group_kernels.cpp)
list(TRANSFORM quantizer_sources PREPEND quantizer/)

# group_kernels.cpp once per instruction set; the choice is made when the program runs.
function(add_group_kernels suffix symbol label)
  add_library(group_kernels_${suffix} OBJECT quantizer/group_kernels.cpp)
  target_link_libraries(group_kernels_${suffix} PRIVATE kernels_api)
  target_compile_definitions(group_kernels_${suffix} PRIVATE
    SHARDQUANT_GROUP_KERNELS=${symbol} SHARDQUANT_INSTRUCTION_SET="${label}")
  # GCC 12 warns of uninitialized values inside its own AVX-512 headers (its bug 105593).
  # The vectors of simd_vector.hpp stay inside the file, so their calling convention does not matter.
  target_compile_options(group_kernels_${suffix} PRIVATE -O3 -Wno-psabi -Wno-maybe-uninitialized -Wno-uninitialized ${ARGN})
endfunction()
add_group_kernels(baseline kGroupKernelsBaseline "SSE2")
add_group_kernels(avx2 kGroupKernelsAvx2 "AVX2" -mavx2 -mfma -mf16c)
add_group_kernels(avx512 kGroupKernelsAvx512 "AVX-512"
  -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mf16c -mprefer-vector-width=512)
