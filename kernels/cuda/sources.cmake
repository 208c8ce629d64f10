# Also compiled with the C++ compiler against tests/support/cuda_standin.
set(cuda_host_sources
  count_nonfinite.cpp cuda_backend.cpp cuda_check.cpp cuda_handles.cpp cuda_module.cpp
  device_context.cpp device_memory.cpp matrix_products.cpp
  forward/causal_attention.cpp
  quantizer/affine_grid.cpp quantizer/exl2_grid.cpp quantizer/factor_hessian.cpp
  quantizer/find_affine_scales.cpp quantizer/option_sweep.cpp quantizer/quantize_matrix.cpp
  quantizer/weight_norms.cpp)
set(cuda_kernel_sources
  convert.cu count_nonfinite.cu fill_rows.cu split.cu
  forward/add.cu forward/causal_softmax.cu forward/negative_log_likelihood.cu forward/rms_norm.cu
  forward/rotate.cu forward/gated_product.cu
  quantizer/factor_residual.cu quantizer/hessian_layout.cu quantizer/permuted_transpose.cu
  quantizer/prepare_group.cu quantizer/quantize_columns.cu quantizer/search_affine.cu quantizer/search_shrink.cu
  quantizer/squared_sums.cu)
