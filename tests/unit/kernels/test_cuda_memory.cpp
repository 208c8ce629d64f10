#include <gtest/gtest.h>

#include <cstdlib>

#include "kernels/api/kernel_error.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "tests/support/backend_test.hpp"
#include "tests/support/random_layer.hpp"

namespace shardquant::kernels {
namespace {

using tests::RandomLayer;

// Needs a device whose memory a test can limit, which is the stand-in.
class CudaMemory : public testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    try {
      backend = make_backend(DeviceKind::cuda, 1, reason);
    } catch (const BackendUnavailable& error) {
      GTEST_SKIP() << error.what();
    }
    if (backend->description().find("stand-in") == std::string::npos) {
      GTEST_SKIP() << "the memory of a real device is not limited by this test";
    }
  }
  void TearDown() override { unsetenv("SHARDQUANT_STANDIN_BYTES"); }

  static void limit(std::int64_t bytes) {
    setenv("SHARDQUANT_STANDIN_BYTES", std::to_string(bytes).c_str(), 1);
  }

  std::unique_ptr<Backend> backend;
};

TEST_F(CudaMemory, AnAllocationTooLargeNamesBytesWantedAndFree) {
  limit(1 << 20);
  try {
    backend->allocate(1024, 1024);
    FAIL() << "4 MiB out of 1 MiB";
  } catch (const DeviceOutOfMemory& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("4194304 bytes wanted"), std::string::npos) << text;
    EXPECT_NE(text.find("1048576 free"), std::string::npos) << text;
  }
  EXPECT_NO_THROW(backend->allocate(16, 16));  // the failure leaves the device usable
}

TEST_F(CudaMemory, FewerOptionsAtATimeGiveTheSameErrors) {
  const std::int64_t rows = 288;
  const RandomLayer layer(320, rows, 90, 600);
  Matrix x = backend->allocate(320, rows);
  backend->upload(layer.inputs_f32(), x);
  Matrix h = backend->allocate(rows, rows);
  backend->fill_zero(h);
  backend->accumulate_hessian(x, 0.5f, h);
  const HessianFactor factor = backend->factor_hessian(std::move(h), {});
  const std::vector<float> weight = layer.weight_f32();
  const Matrix w = backend->permuted_transpose(
      {reinterpret_cast<const std::byte*>(weight.data()), ElementType::f32, 90, rows}, factor.perm);
  std::vector<WeightRecipe> options;
  for (const exl2::QuantOption& option : exl2::exl2_2023_options()) {
    auto groups = exl2::cut_into_groups(option, rows);
    if (!groups.empty()) options.push_back(std::move(groups));
  }
  for (const int bits : {3, 4, 8}) options.push_back(AffineRecipe{bits, 32});
  const auto all = backend->measure_options(w, factor, options, {}, {}, 1);
  // The limit bounds what the batch may take: 64 MiB are kept back, one option takes 0.4 MiB.
  std::int64_t least = 0;
  for (const std::int64_t mebibytes : {72, 68, 66, 3, 1}) {
    limit(mebibytes << 20);
    try {
      const auto some = backend->measure_options(w, factor, options, {}, {}, 1);
      least = mebibytes;
      for (std::size_t i = 0; i < options.size(); ++i) {
        EXPECT_NEAR(some[i].damped_loss / all[i].damped_loss, 1.0, 1e-5) << mebibytes << ' ' << i;
        EXPECT_EQ(some[i].flushed_groups, all[i].flushed_groups);
      }
    } catch (const DeviceOutOfMemory& error) {
      EXPECT_NE(std::string(error.what()).find("one option of a 288 x 90 matrix needs"),
                std::string::npos)
          << error.what();
      EXPECT_LT(mebibytes, 3);
    }
  }
  EXPECT_EQ(least, 3);
}

}  // namespace
}  // namespace shardquant::kernels
