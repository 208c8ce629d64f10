#include "pipeline/formats/safetensors_writer.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/formats/safetensors_file.hpp"

namespace shardquant::formats {

namespace {

std::string entry_text(const TensorSpec& tensor, std::int64_t begin, std::int64_t end) {
  return fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                     json_quote(tensor.name), dtype_name(tensor.dtype),
                     fmt::join(tensor.shape, ","), begin, end);
}

}  // namespace

SafetensorsLayout lay_out_safetensors(std::span<const TensorSpec> tensors) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (tensors[a].dtype != tensors[b].dtype) return tensors[a].dtype > tensors[b].dtype;
    return tensors[a].name < tensors[b].name;
  });

  SafetensorsLayout layout;
  layout.offsets.resize(tensors.size());
  std::string json = "{";
  std::int64_t place = 0;
  for (const std::size_t index : order) {
    const TensorSpec& tensor = tensors[index];
    if (json.size() > 1) json += ',';
    json += entry_text(tensor, place, place + tensor.bytes());
    layout.offsets[index] = place;
    place += tensor.bytes();
  }
  json += '}';
  json.resize((json.size() + 7) / 8 * 8, ' ');
  if (std::ssize(json) > kMaxHeaderBytes) {
    fail(ExitCode::internal, "a safetensors header of {} bytes; lower output.shard_mib",
         json.size());
  }

  const std::uint64_t header_bytes = json.size();
  layout.header.resize(sizeof header_bytes);
  std::memcpy(layout.header.data(), &header_bytes, sizeof header_bytes);
  layout.header += json;
  for (std::int64_t& offset : layout.offsets) offset += std::ssize(layout.header);
  layout.file_bytes = std::ssize(layout.header) + place;
  return layout;
}

std::int64_t largest_header_entry(const TensorSpec& tensor) {
  return std::ssize(entry_text(tensor, INT64_MAX, INT64_MAX)) + 1;
}

void require_distinct_names(std::span<const TensorSpec> tensors) {
  std::vector<std::string_view> names;
  for (const TensorSpec& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) {
    fail(ExitCode::internal, "tensor {} is to be written twice", json_quote(*twice));
  }
}

}  // namespace shardquant::formats
