#include "pipeline/formats/hub_cache.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>

namespace shardquant::formats {

namespace {

namespace fs = std::filesystem;

fs::path cache_folder() {
  for (const char* variable : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const char* folder = std::getenv(variable)) return folder;
  }
  if (const char* home = std::getenv("HF_HOME")) return fs::path(home) / "hub";
  if (const char* cache = std::getenv("XDG_CACHE_HOME")) return fs::path(cache) / "huggingface/hub";
  const char* home = std::getenv("HOME");
  return home == nullptr ? fs::path() : fs::path(home) / ".cache/huggingface/hub";
}

}  // namespace

fs::path cached_snapshot(const std::string& owner, const std::string& name) {
  const fs::path cache = cache_folder();
  if (cache.empty()) return {};
  const fs::path model = cache / fmt::format("models--{}--{}", owner, name);
  std::string revision;
  std::ifstream(model / "refs/main") >> revision;
  std::error_code error;
  if (!revision.empty() && fs::is_directory(model / "snapshots" / revision, error)) {
    return model / "snapshots" / revision;
  }
  fs::path last;
  for (fs::directory_iterator entry(model / "snapshots", error), end; !error && entry != end;
       entry.increment(error)) {
    last = std::max(last, entry->path());
  }
  return last;
}

std::string missing_model_hint(const fs::path& folder) {
  const fs::path plain = folder.has_filename() ? folder : folder.parent_path();
  const std::string owner = plain.parent_path().filename().string();
  const std::string name = plain.filename().string();
  if (owner.empty() || name.empty() || owner == "." || owner == "..") return "";
  if (const fs::path snapshot = cached_snapshot(owner, name); !snapshot.empty()) {
    return fmt::format("; the cache of the Hugging Face Hub has {}/{}: give {}", owner, name,
                       snapshot.string());
  }
  std::error_code error;
  if (fs::exists(plain.parent_path(), error)) return "";
  return fmt::format(
      "; if {0}/{1} of the Hugging Face Hub is meant, fetch it first: hf download {0}/{1} "
      "--local-dir {2}",
      owner, name, plain.string());
}

}  // namespace shardquant::formats
