# Sets SHARDQUANT_BUILDS_CUDA. SHARDQUANT_WITH_CUDA: ON needs a CUDA compiler, OFF builds without,
# AUTO takes one where it is found. A sanitizer cannot see into the module, so AUTO leaves it out
# there; tests/support/cuda_standin has its code under sanitizers.
set(SHARDQUANT_BUILDS_CUDA OFF)
set(SHARDQUANT_MODULE_FOLDER ${PROJECT_BINARY_DIR}/pipeline)  # beside the program, which looks there
if(NOT SHARDQUANT_WITH_CUDA MATCHES "^(ON|OFF|AUTO)$")
  message(FATAL_ERROR "SHARDQUANT_WITH_CUDA is ${SHARDQUANT_WITH_CUDA}; it takes ON, OFF or AUTO")
endif()
if(SHARDQUANT_WITH_CUDA STREQUAL "ON" OR (SHARDQUANT_WITH_CUDA STREQUAL "AUTO" AND NOT SHARDQUANT_SANITIZERS))
  # check_language looks in PATH only.
  find_program(SHARDQUANT_NVCC nvcc HINTS ENV CUDACXX ENV CUDA_HOME ENV CUDA_PATH
    PATHS /usr/local/cuda PATH_SUFFIXES bin)
  mark_as_advanced(SHARDQUANT_NVCC)
  set(nvcc_fault 1)
  if(SHARDQUANT_NVCC)  # it may be a script whose toolkit is gone
    execute_process(COMMAND ${SHARDQUANT_NVCC} --version RESULT_VARIABLE nvcc_fault OUTPUT_QUIET ERROR_QUIET)
  endif()
  if(nvcc_fault EQUAL 0)
    if(NOT CMAKE_CUDA_COMPILER)
      set(CMAKE_CUDA_COMPILER ${SHARDQUANT_NVCC})
    endif()
    if(NOT CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 100-real 120 CACHE STRING "GPU architectures" FORCE)
    endif()
    enable_language(CUDA)
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc has C++20
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    endif()
    set(CMAKE_CUDA_STANDARD 20)
    find_package(CUDAToolkit REQUIRED)
    set(SHARDQUANT_BUILDS_CUDA ON)
    message(STATUS "CUDA module: ${CMAKE_CUDA_COMPILER} ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")
  elseif(SHARDQUANT_WITH_CUDA STREQUAL "ON")
    message(FATAL_ERROR "SHARDQUANT_WITH_CUDA is ON, but no nvcc that works was found in PATH, CUDA_HOME or /usr/local/cuda")
  else()
    message(STATUS "CUDA module: left out, no nvcc that works was found")
  endif()
endif()
