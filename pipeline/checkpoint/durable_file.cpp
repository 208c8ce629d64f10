#include "pipeline/checkpoint/durable_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"

namespace shardquant::checkpoint {

namespace {

namespace fs = std::filesystem;

void write_all(const Descriptor& file, const fs::path& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(file.get(), text.data(), text.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      fail(ExitCode::io_error, "{}: cannot be written: {}", path.string(), std::strerror(errno));
    }
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace

Descriptor::~Descriptor() {
  if (value_ >= 0) ::close(value_);
}

bool Descriptor::close() {
  const int value = std::exchange(value_, -1);
  // Linux frees the descriptor also when close() is interrupted, so it is never called twice.
  return value < 0 || ::close(value) == 0 || errno == EINTR;
}

int flush_descriptor(int descriptor) {
  int result = 0;
  do {
    result = ::fsync(descriptor);
  } while (result != 0 && errno == EINTR);
  return result;
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

fs::path temporary_path(const fs::path& path) {
  return path.string() + ".tmp." + std::to_string(::getpid());
}

void fail_reading(const fs::path& path, int error) {
  const std::string name = path.string();
  if (error == ENOENT || error == ENOTDIR) fail(ExitCode::no_input, "{}: no such file", name);
  if (error == EACCES || error == EPERM) {
    fail(ExitCode::no_permission, "{}: no permission to read", name);
  }
  fail(ExitCode::io_error, "{}: cannot be read: {}", name, std::strerror(error));
}

Descriptor open_regular_file(const fs::path& path) {
  // Without O_NONBLOCK opening a FIFO would wait for a writer.
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail_reading(path, errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_reading(path, errno);
  if (!S_ISREG(status.st_mode)) {
    fail(ExitCode::bad_data, "{}: not a regular file", path.string());
  }
  return file;
}

void rename_durably(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    fail(ExitCode::io_error, "{}: cannot be renamed to {}: {}", from.string(),
         to.filename().string(), std::strerror(errno));
  }
  faults::reach(faults::Point::file_renamed, to.string());
  sync_folder(folder_of(to));
}

void sync_folder(const fs::path& folder) {
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0) {
    if (errno == EACCES) return;  // may be written to, but not read: only its owner can flush it
    fail(ExitCode::io_error, "{}: cannot be opened to be flushed: {}", folder.string(),
         std::strerror(errno));
  }
  // Some network file systems cannot flush folders; they order renamings themselves.
  if (flush_descriptor(descriptor.get()) != 0 && errno != EINVAL) {
    fail(ExitCode::io_error, "{}: cannot be flushed to disk: {}", folder.string(),
         std::strerror(errno));
  }
}

void create_folders_durably(const fs::path& folder) {
  const fs::path above = folder_of(folder);
  std::error_code error;
  if (!fs::exists(above, error)) create_folders_durably(above);
  if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) fail_creating(folder, errno);
  if (!fs::is_directory(folder, error)) fail_creating(folder, ENOTDIR);
  sync_folder(above);
}

fs::path write_temporary(const fs::path& path, std::string_view text) {
  const fs::path temporary = temporary_path(path);
  Descriptor file(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (file.get() < 0) fail_creating(path, errno);
  try {
    write_all(file, path, text);
    if (flush_descriptor(file.get()) != 0 || !file.close()) {
      fail(ExitCode::io_error, "{}: cannot be flushed to disk: {}", path.string(),
           std::strerror(errno));
    }
  } catch (const Failure&) {
    ::unlink(temporary.c_str());
    throw;
  }
  return temporary;
}

void write_durably(const fs::path& path, std::string_view text) {
  const fs::path temporary = write_temporary(path, text);
  faults::reach(faults::Point::text_written, path.string());
  try {
    rename_durably(temporary, path);
  } catch (const Failure&) {
    ::unlink(temporary.c_str());
    throw;
  }
}

std::string read_whole(const fs::path& path, std::int64_t max_bytes) {
  const Descriptor file = open_regular_file(path);
  std::string text;
  char buffer[1 << 14];
  for (;;) {
    const ssize_t count = ::read(file.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_reading(path, errno);
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (std::ssize(text) > max_bytes) {
      fail(ExitCode::bad_data, "{}: longer than the {} bytes accepted here", path.string(),
           max_bytes);
    }
  }
}

}  // namespace shardquant::checkpoint
