#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/formats/model_directory.hpp"
#include "pipeline/formats/shard_file.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::output {

/// File beside the weights with the XXH3-128 of every other file but README.md, which its owner may
/// edit; a line "HASH  NAME" each, as `xxh128sum -c` reads them.
inline constexpr const char* kChecksumsName = "checksums.xxh128";

/// Writes that file of the output folder for `names`, reading back what lies there; the files are
/// dealt out to the ranks by their bytes. Collective. @throws Failure(io_error)
void write_checksums(const waves::RunContext& context, const std::vector<std::string>& names,
                     formats::Overwrite overwrite);

/// Bytes of the file for these names.
std::int64_t checksums_bytes(const std::vector<std::string>& names);

/// Reads every file that the folder's checksums name; returns how many, nothing where the folder
/// has no checksums. @throws Failure: bad_data naming the file whose bytes are others, or a line
/// that is none; no_input where one is missing
std::optional<std::int64_t> check_checksums(const formats::ModelDirectory& folder);

}  // namespace shardquant::output
