#include "pipeline/checkpoint/generation.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/run_fingerprint.hpp"
#include "pipeline/checkpoint/state_seal.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"

namespace shardquant::checkpoint {

namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "manifest.txt";
constexpr std::size_t kDigits = 6;

std::optional<std::int64_t> whole_number(const std::string& text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < 0) return std::nullopt;
  return value;
}

// Numbers of all generations in the folder, the newest first.
std::vector<std::int64_t> all_generations(const fs::path& folder) {
  std::vector<std::int64_t> numbers;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const auto number = name.size() >= kDigits ? whole_number(name) : std::nullopt;
    if (number) numbers.push_back(*number);
  }
  std::sort(numbers.rbegin(), numbers.rend());
  return numbers;
}

void remove_generation(const fs::path& folder, std::int64_t number) {
  // The manifest first: what is half deleted must not be taken for whole.
  std::error_code error;
  const fs::path path = generation_folder(folder, number);
  fs::remove(path / kManifest, error);
  if (!error) fs::remove_all(path, error);
  if (error) fail_creating(path, error.value());
}

RunFingerprint manifest(const std::string& run, const Generation& generation) {
  RunFingerprint fields;
  fields.add("run", run);
  fields.add("generation", fmt::format("{}", generation.number));
  fields.add("block", fmt::format("{}", generation.block));
  fields.add("ranks", fmt::format("{}", generation.ranks));
  for (const auto& [name, identity] : generation.files) fields.add("file." + name, identity);
  return fields;
}

}  // namespace

fs::path generation_folder(const fs::path& folder, std::int64_t number) {
  return folder / fmt::format("{:06}", number);
}

std::string state_file_identity(const fs::path& path) {
  return read_seal(path);
}

std::vector<std::int64_t> committed_generations(const fs::path& folder) {
  std::vector<std::int64_t> numbers = all_generations(folder);
  std::erase_if(numbers, [&](std::int64_t number) {
    return !fs::exists(generation_folder(folder, number) / kManifest);
  });
  return numbers;
}

std::int64_t begin_generation(const fs::path& folder) {
  const auto numbers = all_generations(folder);
  const std::int64_t number = numbers.empty() ? 1 : numbers.front() + 1;
  const fs::path path = generation_folder(folder, number);
  if (::mkdir(path.c_str(), 0777) != 0) fail_creating(path, errno);
  return number;
}

void commit_generation(const fs::path& folder, const std::string& run,
                       const Generation& generation) {
  faults::reach(faults::Point::generation_written);
  sync_folder(folder);
  store_fingerprint(generation_folder(folder, generation.number) / kManifest,
                    manifest(run, generation));
  faults::reach(faults::Point::generation_committed);
  const auto committed = committed_generations(folder);
  for (std::size_t i = 2; i < committed.size(); ++i) remove_generation(folder, committed[i]);
}

std::optional<Generation> load_generation(const fs::path& folder, const std::string& run,
                                          std::int64_t number) {
  try {
    const auto fields = load_fingerprint(generation_folder(folder, number) / kManifest);
    const auto block = whole_number(fields.value("block"));
    const auto ranks = whole_number(fields.value("ranks"));
    if (fields.value("run") != run || whole_number(fields.value("generation")) != number ||
        !block || !ranks) {
      return std::nullopt;
    }
    Generation generation{number, *block, static_cast<int>(*ranks), {}};
    for (const auto& [name, value] : fields.fields()) {
      if (name.starts_with("file.")) generation.files[name.substr(5)] = value;
    }
    return generation;
  } catch (const Failure& failure) {
    if (failure.code() == ExitCode::bad_data || failure.code() == ExitCode::no_input) {
      return std::nullopt;
    }
    throw;
  }
}

std::vector<fs::path> remove_uncommitted_generations(const fs::path& folder) {
  const auto committed = committed_generations(folder);
  std::vector<fs::path> removed;
  for (const std::int64_t number : all_generations(folder)) {
    if (std::find(committed.begin(), committed.end(), number) != committed.end()) continue;
    remove_generation(folder, number);
    removed.push_back(generation_folder(folder, number));
  }
  return removed;
}

}  // namespace shardquant::checkpoint
