#include "pipeline/formats/safetensors_folder.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "pipeline/failure.hpp"
#include "pipeline/formats/foreign_weights.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::formats {

namespace {

constexpr std::string_view kSingleFileName = "model.safetensors";
constexpr std::string_view kExtension = ".safetensors";
constexpr std::int64_t kMaxIndexBytes = 100'000'000;

bool is_shard_name(std::string_view name) {
  return name.ends_with(kExtension) && name.size() > kExtension.size();
}

// Shard of each tensor, from the text of the index.
std::map<std::string, std::string> read_weight_map(const JsonNode& root) {
  const JsonNode weight_map = root.at("weight_map");
  if (!weight_map.is_object()) weight_map.refuse("must be an object");
  std::map<std::string, std::string> shard_of;
  for (std::int64_t i = 0; i < weight_map.size(); ++i) {
    const JsonNode value = weight_map.member(i);
    const std::string& shard = value.as_string();
    const std::string fault = file_name_fault(shard);
    if (!fault.empty()) {
      value.refuse("the shard name " + json_quote(shard.substr(0, 300)) + ' ' + fault);
    }
    if (!is_shard_name(shard)) {
      value.refuse("the shard name " + json_quote(shard) + " does not end in .safetensors");
    }
    shard_of.emplace(weight_map.member_name(i), shard);
  }
  if (shard_of.empty()) weight_map.refuse("names no tensor");
  return shard_of;
}

}  // namespace

SafetensorsFolder::SafetensorsFolder(const std::filesystem::path& folder, LinkPolicy links)
    : directory_(folder, links) {
  if (directory_.contains(kIndexFileName)) {
    open_indexed();
  } else {
    open_listed();
  }
}

void SafetensorsFolder::open_indexed() {
  const FileHandle index_file = directory_.open(kIndexFileName);
  const std::int64_t index_bytes = index_file.size();
  if (index_bytes > kMaxIndexBytes) {
    fail(ExitCode::bad_data, "{}: an index of {} bytes; at most {} are accepted", index_file.name(),
         index_bytes, kMaxIndexBytes);
  }
  std::string text(index_bytes, '\0');
  index_file.read_exact(0, std::as_writable_bytes(std::span(text)));
  const JsonText index = JsonText::parse(text, index_file.name());
  const auto shard_of = read_weight_map(index.root());

  std::vector<std::string> shards;
  for (const auto& [tensor, shard] : shard_of) shards.push_back(shard);
  std::sort(shards.begin(), shards.end());
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
  for (const std::string& shard : shards) {
    if (!directory_.contains(shard)) {
      fail(ExitCode::no_input, "{}: shard {} named in {} is missing", path().string(), shard,
           kIndexFileName);
    }
    files_.emplace_back(directory_.open(shard));
    for (const TensorInfo& tensor : files_.back().tensors()) {
      const auto entry = shard_of.find(tensor.name);
      if (entry == shard_of.end()) {
        fail(ExitCode::bad_data, "{}: tensor {} is not in {}", files_.back().name(),
             json_quote(tensor.name), kIndexFileName);
      }
      if (entry->second != shard) {
        fail(ExitCode::bad_data, "{}: tensor {}: {} places it in {}", files_.back().name(),
             json_quote(tensor.name), kIndexFileName, entry->second);
      }
    }
  }
  for (const auto& [tensor, shard] : shard_of) {
    const auto place = std::lower_bound(shards.begin(), shards.end(), shard) - shards.begin();
    if (files_[place].find(tensor) != nullptr) continue;
    absent_.emplace(tensor, shard);
    warnings_.push_back(fmt::format("{}: tensor {} is not in {}, where {} places it",
                                    path().string(), json_quote(tensor), shard, kIndexFileName));
  }
  collect_names();

  const auto metadata = index.root().find("metadata");
  const auto total =
      metadata && metadata->is_object() ? metadata->find("total_size") : std::nullopt;
  constexpr double kAny = std::numeric_limits<double>::max();
  const bool right = total && total->is_number() &&
                     total->as_number(-kAny, kAny) == static_cast<double>(tensor_bytes_);
  if (total && !right) {
    warnings_.push_back(fmt::format("{}: metadata.total_size is wrong; the tensors take {} bytes",
                                    index_file.name(), tensor_bytes_));
  }
  for (const std::string& name : directory_.list()) {
    if (is_shard_name(name) && !std::binary_search(shards.begin(), shards.end(), name)) {
      warnings_.push_back(fmt::format("{}: {} is not named in {} and is left out", path().string(),
                                      json_quote(name), kIndexFileName));
    }
  }
}

void SafetensorsFolder::open_listed() {
  std::vector<std::string> shards;
  for (std::string& name : directory_.list()) {
    if (is_shard_name(name)) shards.push_back(std::move(name));
  }
  if (shards.empty()) {
    const std::string hint = foreign_weights_hint(directory_.list(), path().string());
    fail(ExitCode::no_input, "{}: no *.safetensors file in this folder{}{}", path().string(),
         hint.empty() ? "" : ", but ", hint);
  }
  if (std::binary_search(shards.begin(), shards.end(), kSingleFileName)) {
    for (const std::string& name : shards) {
      if (name == kSingleFileName) continue;
      warnings_.push_back(fmt::format("{}: {} lies beside {} and is left out", path().string(),
                                      json_quote(name), kSingleFileName));
    }
    shards = {std::string(kSingleFileName)};
  }
  require_all_shards(shards);
  for (const std::string& shard : shards) files_.emplace_back(directory_.open(shard));
  collect_names();
}

// Of NAME-00001-of-00003.safetensors there must be three, also where no index names them.
void SafetensorsFolder::require_all_shards(const std::vector<std::string>& shards) const {
  constexpr std::size_t kDigits = 5;
  constexpr std::string_view kOf = "-of-";
  const std::size_t tail = 2 * kDigits + kOf.size() + kExtension.size();
  const auto is_number = [](std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  for (const std::string& shard : shards) {
    if (shard.size() < tail) continue;
    const std::string_view numbers = std::string_view(shard).substr(shard.size() - tail);
    const std::string_view count = numbers.substr(kDigits + kOf.size(), kDigits);
    if (numbers.substr(kDigits, kOf.size()) != kOf || !is_number(count) ||
        !is_number(numbers.substr(0, kDigits))) {
      continue;
    }
    const std::string prefix = shard.substr(0, shard.size() - tail);
    for (int i = 1; i <= std::stoi(std::string(count)); ++i) {
      const std::string name = fmt::format("{}{:05}{}{}{}", prefix, i, kOf, count, kExtension);
      if (std::binary_search(shards.begin(), shards.end(), name)) continue;
      fail(ExitCode::no_input, "{}: {} is missing; {} says that there are {} files",
           path().string(), name, shard, std::stoi(std::string(count)));
    }
  }
}

void SafetensorsFolder::collect_names() {
  std::vector<Place> places;
  for (std::size_t file = 0; file < files_.size(); ++file) {
    for (std::size_t i = 0; i < files_[file].tensors().size(); ++i) {
      places.push_back({static_cast<std::uint32_t>(file), static_cast<std::uint32_t>(i)});
      tensor_bytes_ += files_[file].tensors()[i].bytes();
    }
  }
  const auto name_at = [this](const Place& place) -> const std::string& {
    return files_[place.file].tensors()[place.tensor].name;
  };
  std::stable_sort(places.begin(), places.end(),
                   [&](const Place& a, const Place& b) { return name_at(a) < name_at(b); });
  for (const Place& place : places) {
    if (!names_.empty() && names_.back() == name_at(place)) {
      fail(ExitCode::bad_data, "{}: tensor {} is in {} as well", files_[place.file].name(),
           json_quote(names_.back()), files_[places_.back().file].name());
    }
    names_.push_back(name_at(place));
    places_.push_back(place);
  }
}

void SafetensorsFolder::add_prefix(std::string_view prefix,
                                   std::span<const std::string_view> kept) {
  std::vector<std::pair<std::string, Place>> named;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const bool stays = std::any_of(kept.begin(), kept.end(), [&](std::string_view start) {
      return names_[i].starts_with(start);
    });
    named.emplace_back((stays ? std::string() : std::string(prefix)) + names_[i], places_[i]);
  }
  std::sort(named.begin(), named.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (std::size_t i = 0; i < named.size(); ++i) {
    names_[i] = std::move(named[i].first);
    places_[i] = named[i].second;
  }
}

const SafetensorsFolder::Place* SafetensorsFolder::place_of(std::string_view name) const {
  const auto entry = std::lower_bound(names_.begin(), names_.end(), name);
  if (entry == names_.end() || *entry != name) return nullptr;
  return &places_[entry - names_.begin()];
}

const TensorInfo* SafetensorsFolder::find(std::string_view name) const {
  const Place* place = place_of(name);
  return place == nullptr ? nullptr : &files_[place->file].tensors()[place->tensor];
}

const TensorInfo& SafetensorsFolder::at(std::string_view name) const {
  const TensorInfo* tensor = find(name);
  if (tensor == nullptr) {
    fail(ExitCode::bad_data, "{}: no tensor {}", path().string(), json_quote(name));
  }
  return *tensor;
}

const SafetensorsFile& SafetensorsFolder::file_of(std::string_view name) const {
  at(name);
  return files_[place_of(name)->file];
}

void SafetensorsFolder::read(std::string_view name, std::int64_t offset,
                             std::span<std::byte> out) const {
  file_of(name).read_bytes(at(name), offset, out);
}

std::vector<std::byte> SafetensorsFolder::read_all(std::string_view name) const {
  std::vector<std::byte> bytes(at(name).bytes());
  read(name, 0, bytes);
  return bytes;
}

}  // namespace shardquant::formats
