#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "kernels/api/kernel_error.hpp"
#include "kernels/make_backend.hpp"

namespace shardquant::tests {

/// Base of the tests whose one source runs against every back end. A back end that this build or
/// machine lacks makes the test skip by name.
class BackendTest : public testing::TestWithParam<kernels::DeviceKind> {
 protected:
  void SetUp() override {
    try {
      std::string reason;
      backend = kernels::make_backend(GetParam(), 1, reason);
    } catch (const kernels::BackendUnavailable& error) {
      GTEST_SKIP() << error.what();
    }
  }

  /// A second back end of the same kind with two host threads.
  std::unique_ptr<kernels::Backend> two_threads() const {
    std::string reason;
    return kernels::make_backend(GetParam(), 2, reason);
  }

  /// A matrix of the back end holding `values`, row major.
  kernels::Matrix on_device(std::int64_t rows, std::int64_t cols,
                            const std::vector<float>& values) {
    kernels::Matrix matrix = backend->allocate(rows, cols);
    backend->upload(values, matrix);
    return matrix;
  }

  std::vector<float> to_host(kernels::ConstMatrixView matrix) {
    std::vector<float> values(static_cast<std::size_t>(matrix.size()));
    backend->download(matrix, values);
    return values;
  }

  std::unique_ptr<kernels::Backend> backend;
};

inline std::string backend_name(const testing::TestParamInfo<kernels::DeviceKind>& info) {
  return info.param == kernels::DeviceKind::cuda ? "cuda" : "cpu";
}

}  // namespace shardquant::tests

/// Runs the tests of `suite` against every back end.
#define INSTANTIATE_FOR_BACKENDS(suite)                                            \
  INSTANTIATE_TEST_SUITE_P(Backends, suite,                                        \
                           testing::Values(shardquant::kernels::DeviceKind::cpu,   \
                                           shardquant::kernels::DeviceKind::cuda), \
                           shardquant::tests::backend_name)
