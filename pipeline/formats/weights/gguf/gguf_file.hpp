#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/weights/gguf/gguf_header.hpp"

namespace shardquant::gguf {

/// One GGUF file of version 3, its header checked by every rule of llama.cpp's reader: known types,
/// rows of whole blocks, tensors one behind the other, each padded to an alignment that is a power
/// of two, nothing beyond the end of the file. Stricter than it: refused are tensors without
/// dimensions or elements, names that are empty or hold control characters, bools other than 0 and
/// 1, bytes after the last tensor's padding, other versions, and more than the limits of
/// gguf_header.hpp. Reads with pread, never maps. Const members may be called from several threads.
class GgufFile {
 public:
  /// Reads and checks the header. @throws Failure(bad_data) naming the file, the key or tensor and
  /// what is wrong
  explicit GgufFile(formats::FileHandle file);

  const std::string& name() const { return file_.name(); }
  const GgufMetadata& metadata() const { return header_.metadata; }
  /// In the order of the file.
  std::span<const GgufTensor> tensors() const { return header_.tensors; }
  std::int64_t alignment() const { return header_.alignment; }
  /// The tensor of that name; null where there is none.
  const GgufTensor* find(std::string_view tensor) const;

  /// Fills `out` with the bytes of `tensor` from `offset` (in bytes, from its beginning) on.
  /// @throws Failure: bad_data when the file has become shorter, io_error; internal where the
  /// tensor has not so many bytes
  void read_bytes(const GgufTensor& tensor, std::int64_t offset, std::span<std::byte> out) const;

 private:
  formats::FileHandle file_;
  GgufHeader header_;
  std::vector<std::uint32_t> by_name_;
};

}  // namespace shardquant::gguf
