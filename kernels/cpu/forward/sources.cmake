set(forward_sources
  rms_norm.cpp linear.cpp rotate.cpp causal_attention.cpp gated_product.cpp soft_cap.cpp add.cpp
  negative_log_likelihood.cpp count_nonfinite.cpp load_weight.cpp)
list(TRANSFORM forward_sources PREPEND forward/)

# Lets the compiler vectorize loops with exp, sqrt and comparisons; values stay IEEE.
set_source_files_properties(${forward_sources} PROPERTIES
  COMPILE_OPTIONS "-O3;-fno-math-errno;-fno-trapping-math")
