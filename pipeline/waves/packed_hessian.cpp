#include "pipeline/waves/packed_hessian.hpp"

#include <algorithm>

namespace shardquant::waves {

PackedHessian::PackedHessian(std::int64_t size)
    : size_(size), values_(static_cast<std::size_t>(offset(size, size))) {}

std::span<float> PackedHessian::rows(std::int64_t first, std::int64_t count) {
  const std::int64_t begin = offset(size_, first);
  const std::int64_t end = offset(size_, first + count);
  return std::span(values_).subspan(static_cast<std::size_t>(begin),
                                    static_cast<std::size_t>(end - begin));
}

kernels::Matrix PackedHessian::unpack(kernels::Backend& backend) const {
  kernels::Matrix full = backend.allocate(size_, size_);
  std::vector<float> piece;
  const std::int64_t step = rows_per_piece(size_);
  for (std::int64_t first = 0; first < size_; first += step) {
    const std::int64_t count = std::min(step, size_ - first);
    piece.assign(static_cast<std::size_t>(count * size_), 0.0f);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t row = first + i;
      const float* from = values_.data() + offset(size_, row);
      std::copy(from, from + (size_ - row), piece.data() + i * size_ + row);
    }
    backend.upload(piece, full.view().row_range(first, count));
  }
  return full;
}

void pack_rows(kernels::Backend& backend, kernels::ConstMatrixView hessian, std::int64_t first,
               std::int64_t count, std::vector<float>& packed) {
  pack_piece(backend, hessian.row_range(first, count), first, packed);
}

void pack_piece(kernels::Backend& backend, kernels::ConstMatrixView rows, std::int64_t first,
                std::vector<float>& packed) {
  const std::int64_t size = rows.cols;
  const std::int64_t count = rows.rows;
  std::vector<float> full(static_cast<std::size_t>(count * size));
  backend.download(rows, full);
  packed.resize(static_cast<std::size_t>(PackedHessian::offset(size, first + count) -
                                         PackedHessian::offset(size, first)));
  float* to = packed.data();
  for (std::int64_t i = 0; i < count; ++i) {
    const float* row = full.data() + i * size;
    to = std::copy(row + first + i, row + size, to);
  }
}

std::int64_t rows_per_piece(std::int64_t size) {
  constexpr std::int64_t kPieceBytes = std::int64_t{16} << 20;
  return std::clamp<std::int64_t>(kPieceBytes / (size * static_cast<std::int64_t>(sizeof(float))),
                                  1, size);
}

}  // namespace shardquant::waves
