#include "pipeline/waves/row_sketch.hpp"

#include <random>
#include <vector>

namespace shardquant::waves {

void sketch_row(kernels::Backend& backend, std::int64_t row, std::int64_t sketch_rows,
                kernels::ConstMatrixView x, std::span<float> out) {
  // The engine's output, unlike that of the distributions, is the same in every standard library.
  std::mt19937_64 random(static_cast<std::uint64_t>(row));
  std::vector<float> signs(static_cast<std::size_t>(sketch_rows * x.rows));
  for (float& sign : signs) sign = (random() >> 63) != 0 ? 1.0f : -1.0f;
  kernels::Matrix projection = backend.allocate(sketch_rows, x.rows);
  backend.upload(signs, projection);
  kernels::Matrix product = backend.allocate(sketch_rows, x.cols);
  backend.multiply(projection, x, product);
  backend.download(product, out);
}

}  // namespace shardquant::waves
