# Measurement and plan files; a library of its own, so that `solve` needs no model code.
add_library(pipeline_measurement STATIC
  measurement_file.cpp
  measurement_file_2024.cpp
  measurement_json.cpp
  plan_file.cpp
  python_number.cpp)
target_include_directories(pipeline_measurement SYSTEM PRIVATE ${XXHASH_INCLUDE_DIR})
target_link_libraries(pipeline_measurement PUBLIC pipeline_formats)
