#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shardquant::formats {

/// Element types of safetensors that fill whole bytes, in the order of the reference library, which
/// also is the order (descending) of the tensors in a file it writes.
enum class Dtype {
  boolean,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64
};

/// "F16", as in a safetensors header.
std::string_view dtype_name(Dtype dtype);
/// Bytes of one element.
std::int64_t dtype_bytes(Dtype dtype);
/// The type of that name, case sensitive; nothing where unknown.
std::optional<Dtype> dtype_from_name(std::string_view name);

/// A tensor as it is to be stored.
struct TensorSpec {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<std::int64_t> shape;

  /// Bytes of its elements. @pre dimensions are not negative and the product fits
  std::int64_t bytes() const;

  friend bool operator==(const TensorSpec&, const TensorSpec&) = default;
};

/// A tensor in a safetensors file; begin and end are byte places in the file, not in its buffer.
struct TensorInfo {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<std::int64_t> shape;
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t bytes() const { return end - begin; }
};

/// "F16 [512, 64]", for messages.
std::string describe_tensor(Dtype dtype, const std::vector<std::int64_t>& shape);

}  // namespace shardquant::formats
