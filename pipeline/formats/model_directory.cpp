#include "pipeline/formats/model_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "pipeline/failure.hpp"
#include "pipeline/formats/foreign_weights.hpp"
#include "pipeline/formats/hub_cache.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::formats {

namespace {

namespace fs = std::filesystem;

constexpr int kReadFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;

bool is_inside(const fs::path& path, const fs::path& folder) {
  const auto [rest, ignored] =
      std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return rest == folder.end();
}

// Where a link leads in one step; relative ones are taken from the folder.
fs::path next_of(const fs::path& folder, const std::string& name) {
  std::error_code error;
  return (folder / fs::read_symlink(folder / name, error)).lexically_normal();
}

// The blobs folder of the cache that `snapshot` (models--X/snapshots/REV, resolved) belongs to;
// empty where it is no snapshot.
fs::path cache_blobs(const fs::path& snapshot) {
  const fs::path snapshots = snapshot.parent_path();
  const fs::path model = snapshots.parent_path();
  if (snapshots.filename() != "snapshots") return {};
  if (!model.filename().string().starts_with("models--")) return {};
  return model / "blobs";
}

[[noreturn]] void fail_not_a_folder(const fs::path& path) {
  const fs::path folder = path.parent_path();
  const std::string hint = foreign_weights_hint({path.string()}, folder.string());
  if (!hint.empty()) fail(ExitCode::no_input, "{}: {}", path.string(), hint);
  fail(ExitCode::no_input,
       "{}: not a folder; the folder with config.json and *.safetensors is wanted{}", path.string(),
       folder.empty() ? "" : ", as " + folder.string());
}

}  // namespace

std::string model_name(const fs::path& folder) {
  constexpr std::string_view kMark = "models--";
  const fs::path plain = folder.has_filename() ? folder : folder.parent_path();
  const fs::path snapshots = plain.parent_path();
  const std::string repository = snapshots.parent_path().filename().string();
  if (snapshots.filename() != "snapshots" || !repository.starts_with(kMark)) {
    return plain.filename().string();
  }
  std::string name = repository.substr(kMark.size());
  if (const auto at = name.find("--"); at != std::string::npos) name.replace(at, 2, "/");
  return name;
}

std::string file_name_fault(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > 255) return "is longer than 255 bytes";
  if (name == "." || name == "..") return "names a folder";
  for (const char c : name) {
    if (c == '/' || c == '\\') return "names another folder";
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "holds a control character";
  }
  return "";
}

ModelDirectory::ModelDirectory(const fs::path& folder, LinkPolicy links)
    : path_(folder), links_(links) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    if (errno == ENOENT) {
      fail(ExitCode::no_input, "{}: no such folder{}", folder.string(), missing_model_hint(folder));
    }
    if (errno == ENOTDIR) fail_not_a_folder(folder);
    fail_opening(folder.string(), errno);
  }
  folder_ = FileHandle(descriptor, folder.string());
  std::error_code error;
  resolved_ = fs::canonical(folder, error);
  if (error) fail_opening(folder.string(), error.value());
}

FileHandle ModelDirectory::open(std::string_view name) const {
  const std::string fault = file_name_fault(name);
  if (!fault.empty()) {
    fail(ExitCode::bad_data, "{}: the file name {} {}", path_.string(),
         json_quote(name.substr(0, 300)), fault);
  }
  const std::string file(name);
  const std::string shown = (path_ / file).string();
  struct stat status {};
  if (::fstatat(folder_.descriptor(), file.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    fail_opening(shown, errno);
  }
  if (S_ISLNK(status.st_mode)) return open_link_target(file, shown);
  if (!S_ISREG(status.st_mode)) fail(ExitCode::bad_data, "{}: not a regular file", shown);
  const int descriptor = ::openat(folder_.descriptor(), file.c_str(), kReadFlags);
  if (descriptor < 0) fail_opening(shown, errno);
  return FileHandle(descriptor, shown);
}

FileHandle ModelDirectory::open_link_target(const std::string& name,
                                            const std::string& shown) const {
  // Resolving reads links only; nothing is opened before the end of the chain is known.
  std::error_code error;
  const fs::path target = fs::canonical(resolved_ / name, error);
  if (error == std::errc::no_such_file_or_directory) {
    fail(ExitCode::no_input, "{}: a symbolic link to a file that is missing", shown);
  }
  if (error) fail_opening(shown, error.value());
  // The cache's owner may keep its blobs elsewhere: they, or their folder, are links then.
  const fs::path blobs = cache_blobs(resolved_);
  const bool contained = is_inside(target, resolved_) ||
                         (!blobs.empty() && is_inside(next_of(resolved_, name), blobs));
  if (!contained && links_ == LinkPolicy::contained) {
    fail(ExitCode::bad_data,
         "{}: a symbolic link that leaves the model folder (to {}); if that is meant, say so: "
         "model.links: follow in the job file, --follow-symlinks for commands without one",
         shown, json_quote(target.string()));
  }
  struct stat status {};
  if (::lstat(target.c_str(), &status) != 0) fail_opening(shown, errno);
  if (!S_ISREG(status.st_mode)) fail(ExitCode::bad_data, "{}: not a regular file", shown);
  const int descriptor = ::open(target.c_str(), kReadFlags);
  if (descriptor < 0) fail_opening(shown, errno);
  return FileHandle(descriptor, shown);
}

bool ModelDirectory::contains(std::string_view name) const {
  struct stat status {};
  return file_name_fault(name).empty() && ::fstatat(folder_.descriptor(), std::string(name).c_str(),
                                                    &status, AT_SYMLINK_NOFOLLOW) == 0;
}

std::vector<std::string> ModelDirectory::list() const {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator entry(resolved_, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) {
    fail(ExitCode::io_error, "{}: cannot be listed: {}", path_.string(), error.message());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace shardquant::formats
