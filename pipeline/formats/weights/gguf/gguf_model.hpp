#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/weights/gguf/gguf_file.hpp"

namespace shardquant::gguf {

/// Keys that say which part of how many a file is, and how many tensors all parts have.
inline constexpr std::string_view kGgufSplitNo = "split.no";
inline constexpr std::string_view kGgufSplitCount = "split.count";
inline constexpr std::string_view kGgufSplitTensors = "split.tensors.count";

/// Name of part `index` (from 0) of `count`, as llama.cpp's gguf-split chooses it:
/// STEM-00001-of-00003.gguf.
std::string gguf_part_name(std::string_view stem, std::int64_t index, std::int64_t count);

/// A model in one GGUF file, or in the parts that llama.cpp splits large ones into, which lie
/// beside the first. Metadata is that of the first part. Only headers are read. Const members may
/// be called from several threads.
class GgufModel {
 public:
  /// Opens a file, and where it is the first of several parts all of them. Checked: the parts'
  /// names and what they say of themselves, no tensor in two parts, none missing.
  /// @throws Failure: no_input where a file is missing; bad_data naming file and key or tensor;
  /// no_permission; io_error
  explicit GgufModel(const std::filesystem::path& path);

  const GgufMetadata& metadata() const { return files_.front().metadata(); }
  std::span<const GgufFile> files() const { return files_; }
  /// In the order of the parts and of each file.
  std::span<const GgufTensorSpec> tensors() const { return tensors_; }

  /// The tensor of that name; null where there is none.
  const GgufTensor* find(std::string_view name) const;
  /// The tensor of that name. @throws Failure(bad_data) where there is none
  const GgufTensor& at(std::string_view name) const;
  /// The file that holds a tensor. @throws Failure(bad_data) where there is no such tensor
  const GgufFile& file_of(std::string_view name) const;

  /// Fills `out` with the bytes of a tensor from `offset` (in bytes, from its beginning) on.
  /// @throws Failure: bad_data when there is no such tensor or its file has shrunk, io_error
  void read(std::string_view name, std::int64_t offset, std::span<std::byte> out) const;

  /// Values of rows [first, first + count) of a tensor: out [count, row_elements].
  /// @throws Failure(bad_data) where there is no such tensor, its type is not decoded or a number
  /// in it is not finite, naming file and tensor; as read
  void decode_rows(std::string_view name, std::int64_t first, std::int64_t count,
                   std::span<float> out) const;

 private:
  void open_parts(const std::filesystem::path& path, std::int64_t count);
  void check_part(std::int64_t index, std::int64_t count) const;
  void collect_tensors();

  std::vector<GgufFile> files_;
  std::vector<GgufTensorSpec> tensors_;
};

}  // namespace shardquant::gguf
