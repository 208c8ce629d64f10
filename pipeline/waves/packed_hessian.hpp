#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/backend.hpp"

namespace shardquant::waves {

/// The upper triangle of a [K, K] Hessian in host memory, row after row without gaps: half the
/// bytes to hold, send and keep on disk. Row i is the K - i elements from the diagonal on.
class PackedHessian {
 public:
  PackedHessian() = default;
  /// All zero.
  explicit PackedHessian(std::int64_t size);

  std::int64_t size() const { return size_; }
  std::span<float> values() { return values_; }
  std::span<const float> values() const { return values_; }
  /// Elements of rows [first, first + count).
  std::span<float> rows(std::int64_t first, std::int64_t count);

  /// Elements before row `row` of a triangle of this size.
  static std::int64_t offset(std::int64_t size, std::int64_t row) {
    return row * size - row * (row - 1) / 2;
  }
  static std::int64_t bytes(std::int64_t size) {
    return offset(size, size) * static_cast<std::int64_t>(sizeof(float));
  }

  /// As a full matrix of the back end; below the diagonal unspecified.
  kernels::Matrix unpack(kernels::Backend& backend) const;

 private:
  std::int64_t size_ = 0;
  std::vector<float> values_;
};

/// Packs rows [first, first + rows.rows) of a triangle: those rows of its matrix, in the back end's
/// memory, are `rows`, whole.
void pack_piece(kernels::Backend& backend, kernels::ConstMatrixView rows, std::int64_t first,
                std::vector<float>& packed);

/// Copies the upper triangle of rows [first, first + count) of a matrix of the back end, packed.
void pack_rows(kernels::Backend& backend, kernels::ConstMatrixView hessian, std::int64_t first,
               std::int64_t count, std::vector<float>& packed);

/// Rows of a [size, size] matrix that are moved at a time: about 16 MiB.
std::int64_t rows_per_piece(std::int64_t size);

}  // namespace shardquant::waves
