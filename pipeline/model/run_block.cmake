target_sources(pipeline_model PRIVATE
  rope_table.cpp folder_weights.cpp run_block.cpp run_head.cpp
  document_batch.cpp evaluate_rows.cpp evaluate_documents.cpp compare_models.cpp)
