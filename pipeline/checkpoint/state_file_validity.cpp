#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/checkpoint/state_seal.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::checkpoint {

namespace {

namespace fs = std::filesystem;

// 0, or the errno of the attempt.
int rename_to_free_name(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // Some network file systems lack the flag; then the check is not atomic.
  struct stat status {};
  if (::lstat(to.c_str(), &status) == 0) return EEXIST;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

bool is_whole(const fs::path& path) {
  try {
    check_seal(path);
    return true;
  } catch (const Failure&) {
    return false;
  }
}

}  // namespace

bool state_file_is_valid(const fs::path& path, std::string_view kind,
                         std::string_view fingerprint) {
  try {
    StateFileReader(path, kind, fingerprint).check_all();
    return true;
  } catch (const Failure& failure) {
    if (failure.code() == ExitCode::bad_data || failure.code() == ExitCode::no_input) return false;
    throw;
  }
}

bool state_file_is_usable(const fs::path& path, std::string_view kind,
                          std::string_view fingerprint) {
  if (state_file_is_valid(path, kind, fingerprint)) return true;
  if (!fs::exists(fs::symlink_status(path)) || is_whole(path)) return false;
  const fs::path aside = set_aside_damaged(path);
  fmt::print(stderr,
             "shardquant: warning: {}: damaged; kept as {}, what it held is computed again\n",
             path.string(), aside.filename().string());
  return false;
}

fs::path set_aside_damaged(const fs::path& path) {
  for (std::int64_t number = 1;; ++number) {
    const std::string ending = number == 1 ? ".bad" : ".bad." + std::to_string(number);
    const fs::path target = path.string() + ending;
    const int error = rename_to_free_name(path, target);
    if (error == 0) {
      sync_folder(folder_of(path));
      return target;
    }
    if (error != EEXIST) fail_reading(path, error);
  }
}

}  // namespace shardquant::checkpoint
