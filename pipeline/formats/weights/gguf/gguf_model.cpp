#include "pipeline/formats/weights/gguf/gguf_model.hpp"

#include <algorithm>
#include <cmath>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/formats/weights/gguf/gguf_codec.hpp"

namespace shardquant::gguf {

namespace {

namespace fs = std::filesystem;

// split.count is a uint16.
constexpr std::int64_t kMostParts = 65'535;

}  // namespace

std::string gguf_part_name(std::string_view stem, std::int64_t index, std::int64_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", stem, index + 1, count);
}

GgufModel::GgufModel(const fs::path& path) {
  files_.emplace_back(formats::FileHandle::open_for_reading(path));
  const std::int64_t count = metadata().find_integer(kGgufSplitCount).value_or(1);
  // gguf-split leaves a count of 0 in what it has merged.
  if (count > 1) open_parts(path, count);
  collect_tensors();
}

void GgufModel::open_parts(const fs::path& path, std::int64_t count) {
  if (count > kMostParts) {
    fail(ExitCode::bad_data, "{}: key {}: {} parts; at most {} are accepted", path.string(),
         kGgufSplitCount, count, kMostParts);
  }
  const std::string first = path.filename().string();
  const std::string ending = gguf_part_name("", 0, count);
  if (!first.ends_with(ending)) {
    fail(ExitCode::bad_data,
         "{}: a part of a model of {}; name the first one, whose name ends in {}", path.string(),
         count, ending);
  }
  const std::string stem = first.substr(0, first.size() - ending.size());
  check_part(0, count);
  for (std::int64_t i = 1; i < count; ++i) {
    files_.emplace_back(
        formats::FileHandle::open_for_reading(path.parent_path() / gguf_part_name(stem, i, count)));
    check_part(i, count);
  }
}

void GgufModel::check_part(std::int64_t index, std::int64_t count) const {
  const GgufFile& part = files_[index];
  const auto require = [&](std::string_view key, std::int64_t wanted) {
    const auto found = part.metadata().find_integer(key);
    if (found == wanted) return;
    fail(ExitCode::bad_data, "{}: key {}: {} instead of {}; the parts do not belong together",
         part.name(), key, found ? std::to_string(*found) : "missing", wanted);
  };
  require(kGgufSplitNo, index);
  require(kGgufSplitCount, count);
}

void GgufModel::collect_tensors() {
  for (const GgufFile& file : files_) {
    tensors_.insert(tensors_.end(), file.tensors().begin(), file.tensors().end());
  }
  for (std::size_t i = 1; i < files_.size(); ++i) {
    for (const GgufTensor& tensor : files_[i].tensors()) {
      const GgufFile& other = file_of(tensor.name);
      if (&other != &files_[i]) {
        fail(ExitCode::bad_data, "{}: tensor {} is in {} as well", files_[i].name(),
             formats::json_quote(tensor.name), other.name());
      }
    }
  }
  const auto wanted = metadata().find_integer(kGgufSplitTensors);
  if (files_.size() > 1 && wanted && *wanted != std::ssize(tensors_)) {
    fail(ExitCode::bad_data, "{}: key {}: {}, but the parts have {} tensors", files_.front().name(),
         kGgufSplitTensors, *wanted, tensors_.size());
  }
}

const GgufTensor* GgufModel::find(std::string_view name) const {
  for (const GgufFile& file : files_) {
    if (const GgufTensor* tensor = file.find(name)) return tensor;
  }
  return nullptr;
}

const GgufTensor& GgufModel::at(std::string_view name) const {
  return *file_of(name).find(name);
}

const GgufFile& GgufModel::file_of(std::string_view name) const {
  const auto file = std::find_if(files_.begin(), files_.end(), [&](const GgufFile& candidate) {
    return candidate.find(name) != nullptr;
  });
  if (file == files_.end()) {
    fail(ExitCode::bad_data, "{}: no tensor {}", files_.front().name(), formats::json_quote(name));
  }
  return *file;
}

void GgufModel::read(std::string_view name, std::int64_t offset, std::span<std::byte> out) const {
  file_of(name).read_bytes(at(name), offset, out);
}

void GgufModel::decode_rows(std::string_view name, std::int64_t first, std::int64_t count,
                            std::span<float> out) const {
  const GgufFile& file = file_of(name);
  const GgufTensor& tensor = at(name);
  const auto refuse = [&](const std::string& reason) {
    fail(ExitCode::bad_data, "{}: tensor {}: {}", file.name(), formats::json_quote(name), reason);
  };
  if (!is_decoded_gguf(tensor.type)) {
    refuse(fmt::format("{} cannot be decoded here", describe_gguf(tensor)));
  }
  std::vector<std::byte> bytes(count * tensor.row_bytes());
  file.read_bytes(tensor, first * tensor.row_bytes(), bytes);
  decode_gguf(tensor.type, bytes, out);
  // What is infinite or NaN in a block makes its values so, and nothing else does.
  const auto bad = std::find_if(out.begin(), out.end(), [](float x) { return !std::isfinite(x); });
  if (bad != out.end()) {
    const std::int64_t place = bad - out.begin();
    refuse(fmt::format("row {}, element {} is not finite", first + place / tensor.row_elements(),
                       place % tensor.row_elements()));
  }
}

}  // namespace shardquant::gguf
