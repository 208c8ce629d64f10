add_library(pipeline_solve_command STATIC print_allocation.cpp solve_command.cpp)
target_link_libraries(pipeline_solve_command
  PUBLIC CLI11::CLI11
  PRIVATE pipeline_stages pipeline_allocation pipeline_report)
