#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace shardquant::kernels {

/// A dense fp32 matrix somewhere in a back end's memory, row major; no ownership.
template <class T>
struct BasicMatrixView {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;  ///< elements from one row to the next, at least cols

  constexpr std::int64_t size() const { return rows * cols; }
  constexpr T* row(std::int64_t index) const { return data + index * stride; }
  /// Rows [first, first + count).
  BasicMatrixView row_range(std::int64_t first, std::int64_t count) const {
    return {row(first), count, cols, stride};
  }
  template <class U>
  requires(std::is_same_v<U, const T> && !std::is_same_v<U, T>) constexpr
  operator BasicMatrixView<U>() const {
    return {data, rows, cols, stride};
  }
};

using MatrixView = BasicMatrixView<float>;
using ConstMatrixView = BasicMatrixView<const float>;

/// A dense fp32 matrix that owns memory of the back end it was allocated by; move only.
class Matrix {
 public:
  Matrix() = default;
  /// stride: elements from one row to the next, at least cols; data holds rows * stride.
  Matrix(std::shared_ptr<float[]> data, std::int64_t rows, std::int64_t cols, std::int64_t stride)
      : data_(std::move(data)), rows_(rows), cols_(cols), stride_(stride) {}
  Matrix(Matrix&&) = default;
  Matrix& operator=(Matrix&&) = default;
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;

  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  std::int64_t stride() const { return stride_; }
  std::int64_t bytes() const { return rows_ * stride_ * static_cast<std::int64_t>(sizeof(float)); }
  bool empty() const { return data_ == nullptr; }

  MatrixView view() { return {data_.get(), rows_, cols_, stride_}; }
  ConstMatrixView view() const { return {data_.get(), rows_, cols_, stride_}; }
  operator MatrixView() { return view(); }
  operator ConstMatrixView() const { return view(); }

 private:
  std::shared_ptr<float[]> data_;  // its deleter belongs to the back end
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
  std::int64_t stride_ = 0;
};

/// Element types a stored tensor can have.
enum class ElementType { f32, f16, bf16 };

/// A weight as it lies in a file: [rows, cols] row major in host memory, any alignment.
struct HostTensor {
  const std::byte* data = nullptr;
  ElementType type = ElementType::f32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

}  // namespace shardquant::kernels
