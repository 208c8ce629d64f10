#include "pipeline/formats/file_handle.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "pipeline/failure.hpp"

namespace shardquant::formats {

namespace {

// Linux transfers at most 0x7ffff000 bytes per call.
constexpr std::size_t kLargestTransfer = std::size_t{1} << 30;

}  // namespace

void fail_opening(const std::string& name, int error) {
  if (error == ENOENT || error == ENOTDIR) fail(ExitCode::no_input, "{}: no such file", name);
  if (error == EACCES || error == EPERM)
    fail(ExitCode::no_permission, "{}: no permission to read", name);
  if (error == ELOOP) fail(ExitCode::bad_data, "{}: a loop of symbolic links", name);
  if (error == ENAMETOOLONG) fail(ExitCode::bad_data, "{}: name too long", name);
  fail(ExitCode::io_error, "{}: cannot open: {}", name, std::strerror(error));
}

FileHandle::~FileHandle() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FileHandle::FileHandle(FileHandle&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), name_(std::move(other.name_)) {}

FileHandle& FileHandle::operator=(FileHandle&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(name_, other.name_);
  return *this;
}

FileHandle FileHandle::open_for_reading(const std::filesystem::path& path) {
  // Without O_NONBLOCK opening a FIFO would wait for a writer.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail_opening(path.string(), errno);
  FileHandle file(descriptor, path.string());
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail_opening(file.name(), errno);
  if (!S_ISREG(status.st_mode)) fail(ExitCode::bad_data, "{}: not a regular file", file.name());
  return file;
}

std::int64_t FileHandle::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) {
    fail(ExitCode::io_error, "{}: cannot get its size: {}", name_, std::strerror(errno));
  }
  return status.st_size;
}

void FileHandle::read_exact(std::int64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t count =
        ::pread(descriptor_, out.data(), std::min(out.size(), kLargestTransfer), offset);
    if (count < 0) {
      if (errno == EINTR) continue;
      fail(ExitCode::io_error, "{}: read error at byte {}: {}", name_, offset,
           std::strerror(errno));
    }
    if (count == 0) {
      fail(ExitCode::bad_data, "{}: ends at byte {}, {} bytes too early; it was cut or replaced",
           name_, offset, out.size());
    }
    out = out.subspan(count);
    offset += count;
  }
}

void FileHandle::write_exact(std::int64_t offset, std::span<const std::byte> data) const {
  while (!data.empty()) {
    const ssize_t count =
        ::pwrite(descriptor_, data.data(), std::min(data.size(), kLargestTransfer), offset);
    if (count < 0) {
      if (errno == EINTR) continue;
      fail(ExitCode::io_error, "{}: write error at byte {}: {}", name_, offset,
           std::strerror(errno));
    }
    data = data.subspan(count);
    offset += count;
  }
}

void FileHandle::sync() const {
  while (::fsync(descriptor_) != 0) {
    if (errno == EINTR) continue;
    fail(ExitCode::io_error, "{}: cannot be flushed to disk: {}", name_, std::strerror(errno));
  }
}

void FileHandle::close() {
  const int descriptor = std::exchange(descriptor_, -1);
  // Linux frees the descriptor also when close() is interrupted, so it is never called twice.
  if (descriptor >= 0 && ::close(descriptor) != 0 && errno != EINTR) {
    fail(ExitCode::io_error, "{}: error at closing: {}", name_, std::strerror(errno));
  }
}

std::string read_text_file(const std::filesystem::path& path, std::int64_t max_bytes) {
  const FileHandle file = FileHandle::open_for_reading(path);
  const std::int64_t size = file.size();
  if (size > max_bytes) {
    fail(ExitCode::bad_data, "{}: {} bytes long; at most {} are accepted here", file.name(), size,
         max_bytes);
  }
  std::string text(size, '\0');
  file.read_exact(0, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace shardquant::formats
