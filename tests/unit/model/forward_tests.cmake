add_unit_test(test_rope_table SOURCES test_rope_table.cpp LIBRARIES pipeline_model kernels)
add_unit_test(test_run_block SOURCES test_run_block.cpp
  LIBRARIES pipeline_model kernels make_model_library)
add_unit_test(test_folder_weights SOURCES test_folder_weights.cpp
  LIBRARIES pipeline_model kernels make_model_library)
add_unit_test(test_shared_perplexity SOURCES test_shared_perplexity.cpp
  LIBRARIES pipeline_model kernels)
add_unit_test(test_compare_models SOURCES test_compare_models.cpp
  LIBRARIES pipeline_model kernels)
