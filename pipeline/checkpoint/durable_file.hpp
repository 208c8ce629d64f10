#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace shardquant::checkpoint {

/// Owns a file descriptor and closes it at the end of life. Move only.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;

  int get() const { return value_; }
  /// Closes now; false, with errno set, where the system reports an error only here.
  bool close();

 private:
  int value_;
};

/// fsync, begun again where a signal interrupts it; what it returns otherwise, with errno set.
int flush_descriptor(int descriptor);

/// The folder in which `path` is a name: "." where it has none.
std::filesystem::path folder_of(const std::filesystem::path& path);

/// PATH.tmp.PID: the name under which this process writes what will become `path`.
std::filesystem::path temporary_path(const std::filesystem::path& path);

/// Throws the Failure that goes with an errno of opening `path` for reading: no_input,
/// no_permission, io_error.
[[noreturn]] void fail_reading(const std::filesystem::path& path, int error);

/// Opens a regular file for reading. @throws Failure: as fail_reading, bad_data when it is no
/// regular file
Descriptor open_regular_file(const std::filesystem::path& path);

/// Renames `from` to `to`, replacing it, and makes that durable. @throws Failure(io_error)
void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to);

/// Makes creations, renamings and removals in a folder durable. @throws Failure(io_error)
void sync_folder(const std::filesystem::path& folder);

/// Makes a folder, and those above it, where it is not there yet, and makes that durable: also
/// where an earlier run made it and lost power before it could.
/// @throws Failure: cannot_create, no_permission, io_error
void create_folders_durably(const std::filesystem::path& folder);

/// Writes a whole file under temporary_path(path), which it returns, and flushes it. After a
/// failure nothing is left under that name. @throws Failure: cannot_create, no_permission, io_error
std::filesystem::path write_temporary(const std::filesystem::path& path, std::string_view text);

/// Writes a whole file: temporary name, fsync, rename, fsync of the folder. After a failure nothing
/// is left under the temporary name and an older file is untouched.
/// @throws Failure: cannot_create, no_permission, io_error
void write_durably(const std::filesystem::path& path, std::string_view text);

/// The whole of a regular file. @throws Failure as open_regular_file, bad_data beyond `max_bytes`
std::string read_whole(const std::filesystem::path& path, std::int64_t max_bytes);

}  // namespace shardquant::checkpoint
