#include <gtest/gtest.h>

#include "kernels/make_backend.hpp"
#include "pipeline/waves/packed_hessian.hpp"

namespace shardquant::waves {
namespace {

TEST(PackedHessian, PackingPiecesAndUnpackingGivesTheUpperTriangleBack) {
  std::string reason;
  const auto backend = kernels::make_backend(kernels::DeviceKind::cpu, 1, reason);
  for (const std::int64_t size : {1, 2, 7, 33}) {
    std::vector<float> values(static_cast<std::size_t>(size * size));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i + 1);
    kernels::Matrix full = backend->allocate(size, size);
    backend->upload(values, full);
    PackedHessian packed(size);
    for (std::int64_t first = 0; first < size; first += 3) {
      const std::int64_t count = std::min<std::int64_t>(3, size - first);
      std::vector<float> piece;
      pack_rows(*backend, full, first, count, piece);
      const auto target = packed.rows(first, count);
      ASSERT_EQ(piece.size(), target.size());
      std::copy(piece.begin(), piece.end(), target.begin());
    }
    const kernels::Matrix back = packed.unpack(*backend);
    for (std::int64_t i = 0; i < size; ++i) {
      for (std::int64_t j = i; j < size; ++j) {
        EXPECT_EQ(back.view().row(i)[j], values[static_cast<std::size_t>(i * size + j)]);
      }
    }
    EXPECT_EQ(PackedHessian::bytes(size), size * (size + 1) / 2 * 4);
  }
}

}  // namespace
}  // namespace shardquant::waves
