#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/model_directory.hpp"
#include "pipeline/formats/shard_file.hpp"

namespace shardquant::formats {

/// The description of a model, in its folder. A copy gets one of its own.
inline constexpr std::string_view kModelCardName = "README.md";

/// True for a file of a model folder that belongs into a quantized copy of it: tokenizer,
/// generation settings, chat template, licence. Not weights in any format (*.safetensors *.bin
/// *.pth *.pt *.ckpt
/// *.gguf), not index files, not config.json and README.md, which are written anew; not hidden
/// files.
bool is_companion_file(std::string_view name);

/// Names of the companion files in a model folder, sorted; folders inside it are left out.
std::vector<std::string> companion_files(const ModelDirectory& source);

/// Copies one file by way of a partial name. @throws Failure: cannot_create when it exists
/// (Overwrite::no), io_error, and as ModelDirectory::open
void copy_companion_file(const ModelDirectory& source, const std::string& name,
                         const std::filesystem::path& target_folder, Overwrite overwrite);

/// Throws Failure(cannot_create) where writing a model into `target` would do harm: it is the
/// source or lies inside it, or holds *.safetensors (with Overwrite::yes: other than `own_files`),
/// which ExLlamaV2 would load beside ours. A missing folder is fine.
void require_safe_target(const std::filesystem::path& source, const std::filesystem::path& target,
                         const std::vector<std::string>& own_files, Overwrite overwrite);

}  // namespace shardquant::formats
