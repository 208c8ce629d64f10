#include "pipeline/checkpoint/state_seal.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <fcntl.h>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::checkpoint {

namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "files hold numbers little endian");

constexpr std::int64_t kSealBytes = 32;
constexpr std::int64_t kBufferBytes = std::int64_t{1} << 20;

std::int64_t file_size(const Descriptor& file, const fs::path& path) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_reading(path, errno);
  return status.st_size;
}

// Bytes got, fewer than asked for only at the end of the file.
std::int64_t read_at(const Descriptor& file, const fs::path& path, std::int64_t offset, char* out,
                     std::int64_t bytes) {
  std::int64_t total = 0;
  while (total < bytes) {
    const ssize_t count =
        ::pread(file.get(), out + total, static_cast<std::size_t>(bytes - total), offset + total);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_reading(path, errno);
    if (count == 0) break;
    total += count;
  }
  return total;
}

std::array<char, kSealBytes> make_seal(const Descriptor& file, const fs::path& path,
                                       std::int64_t bytes) {
  Xxh3 hash(Xxh3::Width::bits_128);
  std::vector<char> buffer(static_cast<std::size_t>(std::min(bytes, kBufferBytes)));
  for (std::int64_t offset = 0; offset < bytes; offset += kBufferBytes) {
    const std::int64_t wanted = std::min(kBufferBytes, bytes - offset);
    if (read_at(file, path, offset, buffer.data(), wanted) != wanted) {
      fail(ExitCode::bad_data, "{}: became shorter while it was read", path.string());
    }
    hash.update(std::as_bytes(std::span(buffer.data(), static_cast<std::size_t>(wanted))));
  }
  std::array<char, kSealBytes> seal{'S', 'Q', 'S', 'E', 'A', 'L', '1', '\n'};
  std::memcpy(seal.data() + 8, &bytes, 8);
  const std::array<std::uint8_t, 16> digest = hash.digest_128();
  std::memcpy(seal.data() + 16, digest.data(), digest.size());
  return seal;
}

void write_at(const Descriptor& file, const fs::path& path, std::int64_t offset,
              std::span<const char> data) {
  while (!data.empty()) {
    const ssize_t count = ::pwrite(file.get(), data.data(), data.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      fail(ExitCode::io_error, "{}: cannot be written: {}", path.string(), std::strerror(errno));
    }
    data = data.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
}

}  // namespace

void append_seal(const fs::path& path, ino_t inode) {
  Descriptor file(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0 || status.st_ino != inode) {
    fail(ExitCode::io_error,
         "{}: the file just written is no longer there; another run uses the same folder",
         path.string());
  }
  const std::int64_t bytes = status.st_size;
  const std::array<char, kSealBytes> seal = make_seal(file, path, bytes);
  write_at(file, path, bytes, seal);
  if (file_size(file, path) != bytes + kSealBytes || flush_descriptor(file.get()) != 0 ||
      !file.close()) {
    fail(ExitCode::io_error, "{}: cannot be flushed to disk: {}", path.string(),
         std::strerror(errno));
  }
}

std::int64_t check_seal(const fs::path& path) {
  const Descriptor file = open_regular_file(path);
  const std::int64_t bytes = file_size(file, path) - kSealBytes;
  std::array<char, kSealBytes> stored{};
  if (bytes < 0 || read_at(file, path, bytes, stored.data(), kSealBytes) != kSealBytes ||
      stored != make_seal(file, path, bytes)) {
    fail(ExitCode::bad_data,
         "{}: damaged (cut off, altered, or not a state file); rename or delete it and run again, "
         "what it held will be computed anew",
         path.string());
  }
  return bytes;
}

std::string read_seal(const fs::path& path) {
  const Descriptor file = open_regular_file(path);
  const std::int64_t bytes = file_size(file, path) - kSealBytes;
  std::array<char, kSealBytes> seal{};
  if (bytes < 0 || read_at(file, path, bytes, seal.data(), kSealBytes) != kSealBytes) {
    fail(ExitCode::bad_data, "{}: too short for a state file", path.string());
  }
  std::string text = std::to_string(bytes) + ' ';
  for (const char c : std::span(seal).subspan(16)) {
    text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  }
  return text;
}

}  // namespace shardquant::checkpoint
