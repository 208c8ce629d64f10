#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/tensor_info.hpp"

namespace shardquant::formats {

/// Longest header accepted, bytes; the reference library's limit.
inline constexpr std::int64_t kMaxHeaderBytes = 100'000'000;
/// Tensors accepted in one file; the reference has no such limit.
inline constexpr std::int64_t kMaxTensorsPerFile = 262'144;
/// Dimensions accepted of one tensor, PyTorch's limit.
inline constexpr std::int64_t kMaxRank = 64;
/// Longest tensor name accepted, bytes.
inline constexpr std::int64_t kMaxTensorNameBytes = 1024;

/// One safetensors file, its header checked by every rule of the reference library
/// (huggingface/safetensors): tensors tile the buffer without hole or overlap, sizes equal shapes,
/// nothing before or after. A tensor without elements may share its place with the next one, as in
/// the reference. Stricter than it: refused are names used twice at any level, unknown fields of a
/// tensor, tensor names that are empty, too long, or hold '/', '\\', ".." or control characters,
/// dimensions beyond 63 bits, types of less than a byte, white space before the header's '{', a
/// null __metadata__, and more than kMaxTensorsPerFile tensors or kMaxRank dimensions. Reads with
/// pread, never maps: a file that shrinks gives a Failure, not a signal. Const members may be
/// called from several threads.
class SafetensorsFile {
 public:
  /// Reads and checks the header. @throws Failure(bad_data) naming the file, the tensor and the
  /// rule
  explicit SafetensorsFile(FileHandle file);

  const std::string& name() const { return file_.name(); }
  std::int64_t file_bytes() const { return file_bytes_; }
  /// In the order of their places in the file.
  std::span<const TensorInfo> tensors() const { return tensors_; }
  /// The tensor of that name; null where there is none.
  const TensorInfo* find(std::string_view tensor) const;

  /// Fills `out` with the bytes of `tensor` from `offset` (in bytes, from its beginning) on.
  /// @pre 0 <= offset, offset + out.size() <= tensor.bytes()
  /// @throws Failure: bad_data when the file has become shorter, io_error
  void read_bytes(const TensorInfo& tensor, std::int64_t offset, std::span<std::byte> out) const;

 private:
  FileHandle file_;
  std::int64_t file_bytes_ = 0;
  std::vector<TensorInfo> tensors_;
  std::vector<std::uint32_t> by_name_;
};

}  // namespace shardquant::formats
