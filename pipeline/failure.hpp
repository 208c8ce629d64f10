#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>

namespace shardquant {

/// What the program tells its caller when it ends; the numbers are those of sysexits.h.
enum class ExitCode : int {
  done = 0,
  usage = 64,
  bad_data = 65,       ///< a model, checkpoint or measurement is malformed or holds NaN
  no_input = 66,       ///< an input file or folder is missing
  unavailable = 69,    ///< launch, device or network unusable
  internal = 70,       ///< a fault of this program
  cannot_create = 73,  ///< an output exists already or cannot be created
  io_error = 74,       ///< reading or writing failed, disk full included
  try_again = 75,      ///< checkpointed; run the same command again
  no_permission = 77,
  config = 78,  ///< the job file or a setting is wrong, or cannot be met
};

/// The one exception of the pipeline: a text for the user that names the file, the field and the
/// remedy, and the exit code that goes with it.
class Failure : public std::runtime_error {
 public:
  Failure(ExitCode code, const std::string& text) : std::runtime_error(text), code_(code) {}

  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// Throws a Failure with a text formatted as by fmt::format.
template <class... Args>
[[noreturn]] void fail(ExitCode code, fmt::format_string<Args...> text, Args&&... args) {
  throw Failure(code, fmt::format(text, std::forward<Args>(args)...));
}

/// Throws the Failure that goes with an errno of creating the file or folder `path`:
/// no_permission; cannot_create where the place is wrong (no such folder, not a folder, name
/// taken, read-only file system); io_error for a full disk and all else.
[[noreturn]] inline void fail_creating(const std::filesystem::path& path, int error) {
  const auto code = [error] {
    switch (error) {
      case EACCES:
      case EPERM:
        return ExitCode::no_permission;
      case ENOENT:
      case ENOTDIR:
      case EROFS:
      case EISDIR:
      case EEXIST:
      case ELOOP:
      case ENAMETOOLONG:
        return ExitCode::cannot_create;
      default:
        return ExitCode::io_error;
    }
  };
  fail(code(), "{}: cannot be created: {}", path.string(), std::strerror(error));
}

}  // namespace shardquant
