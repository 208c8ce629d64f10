#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "pipeline/formats/file_handle.hpp"

namespace shardquant::formats {

/// What to do where the final name is taken.
enum class Overwrite { no, yes };

/// Name of a file before it is complete: ".NAME.partial", which no loader takes for a shard.
std::string partial_name(std::string_view file_name);

/// Creates the partial file of `file_name` in `folder` with its full size reserved on disk, in
/// place of what an interrupted run left under that name.
/// @throws Failure: cannot_create when `file_name` exists (Overwrite::no) or the folder is missing,
/// no_permission, io_error when the disk is full
FileHandle create_partial(const std::filesystem::path& folder, std::string_view file_name,
                          std::int64_t bytes, Overwrite overwrite);

/// Opens the partial file another process created, for writing. @throws Failure: io_error, and
/// where its size is not `bytes`
FileHandle open_partial(const std::filesystem::path& folder, std::string_view file_name,
                        std::int64_t bytes);

/// Gives the partial file its final name and makes the renaming durable. All who write to it must
/// have called sync(). @throws Failure: cannot_create when the name is taken (Overwrite::no),
/// io_error
void publish_partial(const std::filesystem::path& folder, std::string_view file_name,
                     Overwrite overwrite);

/// Makes a published file partial again, where it is there and no partial one is: undoes
/// publish_partial. @throws Failure(io_error)
void withdraw_published(const std::filesystem::path& folder, std::string_view file_name);

/// Removes the partial file, if there is one; for cleaning up after a failure, so it never throws.
void discard_partial(const std::filesystem::path& folder, std::string_view file_name) noexcept;

/// Writes a whole file: partial name, fsync, rename, fsync of the folder. On failure nothing is
/// left under either name. @throws Failure as the steps above
void write_file(const std::filesystem::path& path, std::string_view text, Overwrite overwrite);

/// Makes creations, renamings and removals in a folder durable. @throws Failure(io_error)
void sync_folder(const std::filesystem::path& folder);

}  // namespace shardquant::formats
