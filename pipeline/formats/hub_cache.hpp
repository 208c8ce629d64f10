#pragma once

#include <filesystem>
#include <string>

namespace shardquant::formats {

/// Where a snapshot of a model lies in the local cache of the Hugging Face Hub (HF_HUB_CACHE,
/// HF_HOME/hub, ~/.cache/huggingface/hub): the one its reference `main` names, else the last by
/// name; empty where there is none.
std::filesystem::path cached_snapshot(const std::string& owner, const std::string& name);

/// What to do about a model folder that is missing, to be appended to a message: the path to give
/// where OWNER/NAME, its last two parts, is in the hub's cache; the command that fetches it where
/// it may be meant as a name of the hub; else empty.
std::string missing_model_hint(const std::filesystem::path& folder);

}  // namespace shardquant::formats
