#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/file_handle.hpp"

namespace shardquant::formats {

/// What to do with symbolic links inside a model folder.
enum class LinkPolicy {
  contained,   ///< follow those that stay inside the folder, and a hub cache's to its own blobs
  follow_all,  ///< model.links: follow, or --follow-symlinks
};

/// The policy of a user who asked to follow links, or did not.
constexpr LinkPolicy link_policy(bool follows) {
  return follows ? LinkPolicy::follow_all : LinkPolicy::contained;
}

/// A folder whose files may come from strangers: files are opened by bare name relative to it and
/// nothing outside is opened, except what the "blobs" folder of the Hugging Face cache has for the
/// snapshot that the folder is (models--X/snapshots/REV/file -> ../../blobs/SHA), wherever it is
/// kept: no file of a model can put a link there.
class ModelDirectory {
 public:
  /// @throws Failure: no_input when it is missing or no folder, no_permission
  explicit ModelDirectory(const std::filesystem::path& folder,
                          LinkPolicy links = LinkPolicy::contained);

  const std::filesystem::path& path() const { return path_; }

  /// Opens a regular file for reading. @throws Failure: bad_data where the name is no plain file
  /// name, the link leads outside, or the entry is no regular file; no_input; no_permission
  FileHandle open(std::string_view name) const;
  bool contains(std::string_view name) const;
  /// Names of all entries, sorted; "." and ".." left out.
  std::vector<std::string> list() const;

 private:
  FileHandle open_link_target(const std::string& name, const std::string& shown) const;

  std::filesystem::path path_;
  std::filesystem::path resolved_;
  FileHandle folder_;
  LinkPolicy links_;
};

/// What a model is called by its folder: the folder's name, or OWNER/NAME for a snapshot in a cache
/// of the Hugging Face hub (models--OWNER--NAME/snapshots/REVISION).
std::string model_name(const std::filesystem::path& folder);

/// Why `name` is not a plain file name (empty, ".", "..", holds '/', '\\' or a control character,
/// longer than 255 bytes); empty when it is one.
std::string file_name_fault(std::string_view name);

}  // namespace shardquant::formats
