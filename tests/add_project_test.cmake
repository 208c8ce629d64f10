# Data that lies beside a development checkout; tests that use it skip with a message where it is absent.
set(SHARDQUANT_SHARED_DATA "${PROJECT_SOURCE_DIR}/../shared" CACHE PATH
  "Folder with models and reference vectors for tests")

# add_unit_test(name SOURCES a.cpp ... LIBRARIES lib ... [LABELS ...] [TIMEOUT s])
# One GoogleTest program, one ctest entry.
function(add_unit_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} test_support GTest::gtest_main GTest::gmock)
  target_compile_options(${name} PRIVATE -O1)  # half the compile time; what is tested keeps its own
  add_test(NAME ${name} COMMAND ${name})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "unit;${arg_LABELS}")
endfunction()

# add_mpi_test(name RANKS n SOURCES ... LIBRARIES ... [TIMEOUT s])
# The same program once per rank count in RANKS, under the launcher; the sources bring their own main.
function(add_mpi_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "RANKS;SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} test_support GTest::gtest GTest::gmock)
  target_compile_options(${name} PRIVATE -O1)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  foreach(ranks IN LISTS arg_RANKS)
    add_test(NAME ${name}_ranks_${ranks}
      COMMAND ${SHARDQUANT_MPI_LAUNCHER} --allow-run-as-root --oversubscribe -n ${ranks} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}_ranks_${ranks} PROPERTIES
      TIMEOUT ${arg_TIMEOUT} LABELS "mpi;ranks_${ranks}" PROCESSORS ${ranks})
  endforeach()
endfunction()
