# Also compiled with the C++ compiler against tests/support/cuda_standin.
set(cuda_host_sources
  count_nonfinite.cpp cuda_backend.cpp cuda_check.cpp cuda_handles.cpp cuda_module.cpp device_context.cpp
  device_memory.cpp causal_attention.cpp factor_hessian.cpp matrix_products.cpp option_sweep.cpp
  quantize_matrix.cpp)
set(cuda_kernel_sources
  add.cu causal_softmax.cu convert.cu count_nonfinite.cu factor_residual.cu hessian_layout.cu
  negative_log_likelihood.cu permuted_transpose.cu prepare_group.cu quantize_columns.cu rms_norm.cu
  rotate.cu search_scales.cu silu_product.cu split.cu squared_sums.cu)
