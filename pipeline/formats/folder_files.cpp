#include "pipeline/formats/folder_files.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "pipeline/failure.hpp"

namespace shardquant::formats {

namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 7> kWeightEndings = {
    ".safetensors", ".bin", ".pth", ".pt", ".ckpt", ".gguf", ".index.json"};
constexpr std::size_t kCopyBlock = std::size_t{1} << 20;

bool is_inside_or_same(const fs::path& path, const fs::path& folder) {
  const auto [rest, ignored] =
      std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return rest == folder.end();
}

fs::path resolved(const fs::path& path) {
  std::error_code error;
  fs::path result = fs::weakly_canonical(fs::absolute(path), error);
  if (error) fail(ExitCode::io_error, "{}: {}", path.string(), error.message());
  // A trailing slash would give an empty last component.
  return result.has_filename() ? result : result.parent_path();
}

}  // namespace

bool is_companion_file(std::string_view name) {
  if (name.starts_with('.') || name == "config.json") return false;
  return std::none_of(kWeightEndings.begin(), kWeightEndings.end(),
                      [&](std::string_view ending) { return name.ends_with(ending); });
}

std::vector<std::string> companion_files(const ModelDirectory& source) {
  std::vector<std::string> names;
  for (std::string& name : source.list()) {
    if (!is_companion_file(name)) continue;
    std::error_code ignored;
    if (fs::is_directory(source.path() / name, ignored)) continue;
    names.push_back(std::move(name));
  }
  return names;
}

void copy_companion_file(const ModelDirectory& source, const std::string& name,
                         const fs::path& target_folder, Overwrite overwrite) {
  const FileHandle from = source.open(name);
  const std::int64_t bytes = from.size();
  FileHandle to = create_partial(target_folder, name, bytes, overwrite);
  try {
    std::vector<std::byte> block(kCopyBlock);
    for (std::int64_t offset = 0; offset < bytes; offset += std::ssize(block)) {
      const auto count = std::min(std::ssize(block), bytes - offset);
      from.read_exact(offset, std::span(block).first(count));
      to.write_exact(offset, std::span(block).first(count));
    }
    to.sync();
    to.close();
    publish_partial(target_folder, name, overwrite);
  } catch (const Failure&) {
    discard_partial(target_folder, name);
    throw;
  }
}

void require_safe_target(const fs::path& source, const fs::path& target,
                         const std::vector<std::string>& own_files, Overwrite overwrite) {
  if (is_inside_or_same(resolved(target), resolved(source))) {
    fail(ExitCode::cannot_create, "{}: the output folder is the model folder or lies inside it",
         target.string());
  }
  std::error_code error;
  for (fs::directory_iterator entry(target, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.ends_with(".safetensors")) continue;
    const bool own = std::find(own_files.begin(), own_files.end(), name) != own_files.end();
    if (overwrite == Overwrite::yes && own) continue;
    fail(
        ExitCode::cannot_create,
        "{}: {} lies there already, and ExLlamaV2 loads every *.safetensors of a folder; remove it "
        "or choose another output folder",
        target.string(), name);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    fail_creating(target, error.value());
  }
}

}  // namespace shardquant::formats
