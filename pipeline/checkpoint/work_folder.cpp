#include "pipeline/checkpoint/work_folder.hpp"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::checkpoint {

namespace {

namespace fs = std::filesystem;

constexpr const char* kHessians = "hessians";
constexpr const char* kMeasurements = "measurements";
constexpr const char* kQuantized = "quantized";
constexpr const char* kEvaluation = "evaluation";
constexpr const char* kSensitivity = "sensitivity";
constexpr const char* kTrialWeights = "sensitivity/weights";
constexpr const char* kCopies = "sensitivity/copies";
constexpr const char* kParts[] = {kHessians,   kMeasurements, kQuantized,
                                  kEvaluation, kSensitivity,  kTrialWeights,
                                  kCopies,     "hidden",      "heartbeats"};
constexpr std::string_view kTemporaryMark = ".tmp.";
constexpr std::size_t kLongestName = 200;

fs::path part_path(const fs::path& folder, const char* part, std::string_view name) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  const bool controls = std::any_of(name.begin(), name.end(), is_control);
  if (name.empty() || name.size() > kLongestName || controls || name.front() == '.' ||
      name.find('/') != std::string_view::npos || name.find('\\') != std::string_view::npos) {
    std::string shown(name.substr(0, kLongestName));
    std::replace_if(shown.begin(), shown.end(), is_control, '?');
    fail(ExitCode::bad_data, "\"{}\": a layer of this name cannot be kept as a file in {}", shown,
         (folder / part).string());
  }
  return folder / part / (std::string(name) + ".h5");
}

void create_folder(const fs::path& path) {
  if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) fail_creating(path, errno);
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) fail_creating(path, errno);
  if (!S_ISDIR(status.st_mode)) fail_creating(path, ENOTDIR);
  if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0) fail_creating(path, errno);
}

// The process number at the end of NAME.tmp.PID; 0 for any other name.
pid_t writer_of(const std::string& name) {
  const std::size_t mark = name.rfind(kTemporaryMark);
  if (mark == std::string::npos || mark == 0) return 0;
  pid_t pid = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + mark + kTemporaryMark.size(), end, pid);
  return error == std::errc() && stop == end && pid > 0 ? pid : 0;
}

void remove_temporaries_in(const fs::path& folder, std::vector<fs::path>& removed) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error == std::errc::no_such_file_or_directory) return;
  while (!error && entries != fs::directory_iterator()) {
    const fs::path path = entries->path();
    const bool is_temporary = writer_of(path.filename().string()) != 0;
    const bool regular = fs::is_regular_file(entries->symlink_status(error));
    if (!error && is_temporary && regular) {
      if (::unlink(path.c_str()) == 0) {
        removed.push_back(path);
      } else if (errno != ENOENT) {
        fail_creating(path, errno);
      }
    }
    error.clear();
    entries.increment(error);
  }
  if (error) fail_reading(folder, error.value());
}

}  // namespace

WorkFolder::WorkFolder(fs::path path, fs::path measured_in, fs::path hessians_in)
    : path_(std::move(path)),
      measured_in_(measured_in.empty() ? path_ : std::move(measured_in)),
      hessians_in_(hessians_in.empty() ? measured_in_ : std::move(hessians_in)) {}

WorkFolder WorkFolder::create(const fs::path& path) {
  create_folder(path);
  for (const char* part : kParts) create_folder(path / part);
  sync_folder(path);
  sync_folder(folder_of(path));
  return WorkFolder(path);
}

fs::path WorkFolder::hessian(std::string_view name) const {
  return part_path(hessians_in_, kHessians, name);
}

fs::path WorkFolder::measurement(std::string_view name) const {
  return part_path(measured_in_, kMeasurements, name);
}

fs::path WorkFolder::sensitivity(std::string_view name) const {
  return part_path(measured_in_, kSensitivity, name);
}

fs::path WorkFolder::trial_weight(std::string_view name) const {
  return part_path(path_, kTrialWeights, name);
}

fs::path WorkFolder::copy(std::string_view name) const {
  return part_path(path_, kCopies, name);
}

fs::path WorkFolder::quantized(std::string_view name) const {
  return part_path(path_, kQuantized, name);
}

fs::path WorkFolder::evaluation(std::string_view name) const {
  return part_path(path_, kEvaluation, name);
}

std::vector<fs::path> WorkFolder::remove_temporaries() const {
  std::vector<fs::path> removed;
  remove_temporaries_in(path_, removed);
  for (const char* part : kParts) {
    remove_temporaries_in(path_ / part, removed);
  }
  std::sort(removed.begin(), removed.end());
  return removed;
}

std::int64_t WorkFolder::free_bytes() const {
  struct statvfs status {};
  if (::statvfs(path_.c_str(), &status) != 0) {
    fail(ExitCode::io_error, "{}: free space cannot be told: {}", path_.string(),
         std::strerror(errno));
  }
  return static_cast<std::int64_t>(status.f_bavail) * static_cast<std::int64_t>(status.f_frsize);
}

}  // namespace shardquant::checkpoint
