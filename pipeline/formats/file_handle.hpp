#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace shardquant::formats {

/// An open file; closes its descriptor at the end of life. Move only. Reads and writes at given
/// places, so a const handle may be read from several threads.
class FileHandle {
 public:
  FileHandle() = default;
  /// Takes over `descriptor`; `name` is what messages call the file.
  FileHandle(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {}
  ~FileHandle();
  FileHandle(FileHandle&& other) noexcept;
  FileHandle& operator=(FileHandle&& other) noexcept;
  FileHandle(const FileHandle&) = delete;
  FileHandle& operator=(const FileHandle&) = delete;

  /// Opens a regular file for reading. Links are followed: the path comes from the user.
  /// @throws Failure: no_input missing, no_permission, bad_data not a regular file, io_error
  static FileHandle open_for_reading(const std::filesystem::path& path);

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  const std::string& name() const { return name_; }
  /// Bytes in the file now. @throws Failure(io_error)
  std::int64_t size() const;

  /// Fills `out` from `offset` on. @throws Failure: bad_data where the file ends before, io_error
  void read_exact(std::int64_t offset, std::span<std::byte> out) const;
  /// Writes all of `data` at `offset`. @throws Failure(io_error), also for a full disk or quota
  void write_exact(std::int64_t offset, std::span<const std::byte> data) const;
  /// Makes what was written survive a power loss. @throws Failure(io_error)
  void sync() const;
  /// Closes now, reporting what close() reports. @throws Failure(io_error)
  void close();

 private:
  int descriptor_ = -1;
  std::string name_;
};

/// The whole of a regular file. @throws Failure as FileHandle, and bad_data beyond max_bytes
std::string read_text_file(const std::filesystem::path& path, std::int64_t max_bytes);

/// The exit code that goes with an errno of opening an existing file for reading, and its text:
/// throws Failure(no_input | no_permission | io_error) naming the file.
[[noreturn]] void fail_opening(const std::string& name, int error);

}  // namespace shardquant::formats
