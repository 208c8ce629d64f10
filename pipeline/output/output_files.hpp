#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/shard_file.hpp"
#include "pipeline/output/output_layout.hpp"

namespace shardquant::output {

/// The output's shards while they are being written: partial files that every rank opens and writes
/// its own tensors into, at places known from the layout.
class OutputFiles {
 public:
  /// Root: creates the partial files of their full size, with headers; keeps those that an
  /// interrupted run of the same layout left where `keep`. @throws Failure(cannot_create, io_error,
  /// no_permission)
  static void create(const std::filesystem::path& folder, const OutputLayout& layout, bool keep);

  /// Opens the partial files. Call after create, on every rank. The layout is kept by reference.
  OutputFiles(const std::filesystem::path& folder, const OutputLayout& layout);

  /// Writes bytes of tensor `index` (in layout order) from `offset` on. @throws Failure(io_error)
  void write(std::int64_t index, std::int64_t offset, std::span<const std::byte> bytes) const;
  /// The bytes of tensor `index` as they are now.
  std::vector<std::byte> read(std::int64_t index) const;
  /// Makes what this rank wrote durable.
  void sync() const;

  /// Root, when all ranks have synced: gives the shards their names, then writes the index.
  static void publish(const std::filesystem::path& folder, const OutputLayout& layout,
                      formats::Overwrite overwrite);
  /// Root: makes shards that have their names partial files again.
  static void unpublish(const std::filesystem::path& folder, const OutputLayout& layout);

 private:
  const OutputLayout& layout_;
  std::vector<formats::FileHandle> shards_;
};

}  // namespace shardquant::output
