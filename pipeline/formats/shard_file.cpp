#include "pipeline/formats/shard_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "pipeline/failure.hpp"

namespace shardquant::formats {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_existing(const fs::path& path) {
  fail(ExitCode::cannot_create,
       "{}: exists already; choose another place or ask for overwriting (--force)", path.string());
}

bool exists_by_any_type(const fs::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

// Reserves the bytes, so that a full disk shows now and not after hours of work.
void reserve(const FileHandle& file, std::int64_t bytes) {
  if (bytes == 0) return;
  int result = 0;
  do {
    result = ::fallocate(file.descriptor(), 0, 0, bytes);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return;
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
    fail(ExitCode::io_error, "{}: {} bytes cannot be reserved: {}", file.name(), bytes,
         std::strerror(errno));
  }
  // Not every file system can reserve.
  if (::ftruncate(file.descriptor(), bytes) != 0) {
    fail(ExitCode::io_error, "{}: cannot be given {} bytes: {}", file.name(), bytes,
         std::strerror(errno));
  }
}

int rename_without_replacing(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // Some network file systems lack the flag; then the check is not atomic.
  if (exists_by_any_type(to)) return EEXIST;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

std::string partial_name(std::string_view file_name) {
  return '.' + std::string(file_name) + ".partial";
}

FileHandle create_partial(const fs::path& folder, std::string_view file_name, std::int64_t bytes,
                          Overwrite overwrite) {
  if (overwrite == Overwrite::no && exists_by_any_type(folder / file_name)) {
    fail_existing(folder / file_name);
  }
  const fs::path path = folder / partial_name(file_name);
  const int descriptor =
      ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (descriptor < 0) fail_creating(path, errno);
  FileHandle file(descriptor, path.string());
  try {
    reserve(file, bytes);
  } catch (const Failure&) {
    discard_partial(folder, file_name);
    throw;
  }
  return file;
}

FileHandle open_partial(const fs::path& folder, std::string_view file_name, std::int64_t bytes) {
  const fs::path path = folder / partial_name(file_name);
  const int descriptor = ::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0) {
    fail(ExitCode::io_error, "{}: cannot be opened for writing: {}", path.string(),
         std::strerror(errno));
  }
  FileHandle file(descriptor, path.string());
  if (file.size() != bytes) {
    fail(ExitCode::io_error,
         "{}: {} bytes long instead of {}; the output folder is not the same "
         "on all nodes, or another job writes to it",
         file.name(), file.size(), bytes);
  }
  return file;
}

void publish_partial(const fs::path& folder, std::string_view file_name, Overwrite overwrite) {
  const fs::path from = folder / partial_name(file_name);
  const fs::path to = folder / file_name;
  int error = 0;
  if (overwrite == Overwrite::no) {
    error = rename_without_replacing(from, to);
  } else if (::rename(from.c_str(), to.c_str()) != 0) {
    error = errno;
  }
  if (error == EEXIST) fail_existing(to);
  if (error != 0) {
    fail(ExitCode::io_error, "{}: cannot be renamed to {}: {}", from.string(),
         std::string(file_name), std::strerror(error));
  }
  sync_folder(folder);
}

void withdraw_published(const fs::path& folder, std::string_view file_name) {
  const fs::path from = folder / file_name;
  const fs::path to = folder / partial_name(file_name);
  if (!exists_by_any_type(from) || exists_by_any_type(to)) return;
  const int error = rename_without_replacing(from, to);
  if (error != 0) {
    fail(ExitCode::io_error, "{}: cannot be renamed to {}: {}", from.string(),
         to.filename().string(), std::strerror(error));
  }
  sync_folder(folder);
}

void discard_partial(const fs::path& folder, std::string_view file_name) noexcept {
  ::unlink((folder / partial_name(file_name)).c_str());
}

void write_file(const fs::path& path, std::string_view text, Overwrite overwrite) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const std::string name = path.filename().string();
  FileHandle file = create_partial(folder, name, std::ssize(text), overwrite);
  try {
    file.write_exact(0, std::as_bytes(std::span(text)));
    file.sync();
    file.close();
    publish_partial(folder, name, overwrite);
  } catch (const Failure&) {
    discard_partial(folder, name);
    throw;
  }
}

void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    fail(ExitCode::io_error, "{}: cannot be opened to be flushed: {}", folder.string(),
         std::strerror(errno));
  }
  const FileHandle handle(descriptor, folder.string());
  // Some network file systems cannot flush folders; they order renamings themselves.
  if (::fsync(descriptor) != 0 && errno != EINVAL && errno != EINTR) {
    fail(ExitCode::io_error, "{}: cannot be flushed to disk: {}", folder.string(),
         std::strerror(errno));
  }
}

}  // namespace shardquant::formats
