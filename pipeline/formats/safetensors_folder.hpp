#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/model_directory.hpp"
#include "pipeline/formats/safetensors_file.hpp"

namespace shardquant::formats {

/// The index file of a sharded checkpoint.
inline constexpr std::string_view kIndexFileName = "model.safetensors.index.json";

/// All tensors of a model folder, by name. Which files count: with model.safetensors.index.json the
/// ones it names; else model.safetensors alone; else every *.safetensors. Checked: no shard holds a
/// tensor the index does not place there, no name occurs in two files, none of a numbered set of
/// files is missing. Tensors that the index names but no shard holds are in absent(): whether they
/// are needed the model knows. Only headers are read. Const members may be called from several
/// threads.
class SafetensorsFolder {
 public:
  /// @throws Failure: no_input when the folder, a shard or every shard is missing; bad_data naming
  /// file and rule; no_permission; io_error
  explicit SafetensorsFolder(const std::filesystem::path& folder,
                             LinkPolicy links = LinkPolicy::contained);

  /// From here on the tensors whose names do not begin with one of `kept` are known by `prefix` and
  /// their names. @pre no two are called the same then
  void add_prefix(std::string_view prefix, std::span<const std::string_view> kept);

  const ModelDirectory& directory() const { return directory_; }
  const std::filesystem::path& path() const { return directory_.path(); }
  /// Sorted by file name.
  std::span<const SafetensorsFile> files() const { return files_; }
  /// Sorted by name.
  std::span<const std::string> names() const { return names_; }
  /// What is odd but does no harm: a wrong total_size, safetensors files the index does not name.
  std::span<const std::string> warnings() const { return warnings_; }
  /// Tensors that the index places in a shard that lacks them, with that shard.
  const std::map<std::string, std::string>& absent() const { return absent_; }
  /// Bytes of all tensors.
  std::int64_t tensor_bytes() const { return tensor_bytes_; }

  /// The tensor of that name; null where there is none.
  const TensorInfo* find(std::string_view name) const;
  /// The tensor of that name. @throws Failure(bad_data) where there is none
  const TensorInfo& at(std::string_view name) const;
  /// The file that holds a tensor. @throws Failure(bad_data) where there is no such tensor
  const SafetensorsFile& file_of(std::string_view name) const;

  /// Fills `out` with the bytes of a tensor from `offset` (in bytes, from its beginning) on.
  /// @pre 0 <= offset, offset + out.size() <= at(name).bytes()
  /// @throws Failure: bad_data when there is no such tensor or its file has shrunk, io_error
  void read(std::string_view name, std::int64_t offset, std::span<std::byte> out) const;
  /// The whole of a tensor.
  std::vector<std::byte> read_all(std::string_view name) const;

 private:
  struct Place {
    std::uint32_t file;
    std::uint32_t tensor;
  };

  void open_indexed();
  void open_listed();
  void require_all_shards(const std::vector<std::string>& shards) const;
  void collect_names();
  const Place* place_of(std::string_view name) const;

  ModelDirectory directory_;
  std::vector<SafetensorsFile> files_;
  std::vector<std::string> names_;
  std::vector<Place> places_;  // of names_
  std::vector<std::string> warnings_;
  std::map<std::string, std::string> absent_;
  std::int64_t tensor_bytes_ = 0;
};

}  // namespace shardquant::formats
