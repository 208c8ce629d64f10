#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace shardquant::checkpoint {

/// Appends the seal to a closed state file that nobody writes to, and flushes the file to disk. The
/// seal is "SQSEAL1\n", the bytes before it (int64, little endian), and their XXH3-128 (16 bytes,
/// big endian). `inode` is that of the file written: where the name leads to another by now,
/// someone else uses the folder. @throws Failure(io_error)
void append_seal(const std::filesystem::path& path, ino_t inode);

/// Checks that the file is what was sealed, reading all of it, and returns the bytes before the
/// seal. @throws Failure: no_input, no_permission, io_error; bad_data when it is not
std::int64_t check_seal(const std::filesystem::path& path);

/// "BYTES HASH" as the seal of a file has them, without comparing them with the rest of it.
/// @throws Failure: no_input, no_permission, io_error; bad_data where there is no seal
std::string read_seal(const std::filesystem::path& path);

}  // namespace shardquant::checkpoint
