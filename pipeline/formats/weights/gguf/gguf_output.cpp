#include "pipeline/formats/weights/gguf/gguf_output.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/formats/weights/gguf/gguf_header.hpp"
#include "pipeline/formats/weights/gguf/gguf_model.hpp"

namespace shardquant::gguf {

namespace {

constexpr std::int64_t kMib = std::int64_t{1} << 20;
constexpr std::int64_t kMostParts = 65'535;

void require_distinct(std::span<const GgufTensorSpec> tensors) {
  std::vector<std::string_view> names;
  for (const GgufTensorSpec& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) {
    fail(ExitCode::internal, "tensor {} is to be written twice", formats::json_quote(*twice));
  }
}

// First tensor of each part, and the number of tensors as the last element.
std::vector<std::size_t> cut_into_parts(std::span<const GgufTensorSpec> tensors,
                                        std::int64_t alignment, std::int64_t limit_bytes) {
  std::vector<std::size_t> starts = {0};
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::int64_t more = gguf_padded(tensors[i].bytes(), alignment);
    if (bytes + more > limit_bytes && i > starts.back()) {
      starts.push_back(i);
      bytes = 0;
    }
    bytes += more;
  }
  starts.push_back(tensors.size());
  return starts;
}

// Metadata of one part. The alignment is that of all of them, and each part is read on its own.
GgufMetadata part_metadata(const GgufMetadata& whole, std::int64_t index, std::int64_t count,
                           std::int64_t tensors) {
  GgufMetadata part;
  if (index == 0) {
    part = whole;
  } else if (whole.find(kGgufAlignmentKey) != nullptr) {
    part.set_integer(kGgufAlignmentKey, GgufValueType::u32,
                     whole.find_integer(kGgufAlignmentKey).value());
  }
  part.set_integer(kGgufSplitNo, GgufValueType::u16, index);
  part.set_integer(kGgufSplitCount, GgufValueType::u16, count);
  part.set_integer(kGgufSplitTensors, GgufValueType::i32, tensors);
  return part;
}

GgufMetadata without_split(GgufMetadata metadata) {
  for (const std::string_view key : {kGgufSplitNo, kGgufSplitCount, kGgufSplitTensors}) {
    metadata.remove(key);
  }
  return metadata;
}

}  // namespace

formats::OutputPlan plan_gguf_output(const GgufMetadata& metadata,
                                     std::span<const GgufTensorSpec> tensors, std::string_view stem,
                                     std::int64_t part_mib) {
  require_distinct(tensors);
  const GgufMetadata whole = without_split(metadata);
  const std::int64_t alignment = gguf_alignment(whole, "the metadata to be written");
  const std::int64_t limit =
      part_mib == 0 ? INT64_MAX : std::min(part_mib, INT64_MAX / 2 / kMib) * kMib;
  const std::vector<std::size_t> starts = cut_into_parts(tensors, alignment, limit);
  const std::int64_t count = std::ssize(starts) - 1;
  if (count > kMostParts) {
    fail(ExitCode::config, "{} parts of a GGUF model; at most {} can be, raise output.shard_mib",
         count, kMostParts);
  }
  formats::OutputPlan plan;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto members = tensors.subspan(starts[i], starts[i + 1] - starts[i]);
    formats::OutputShard part;
    if (count == 1) {
      part.file_name = fmt::format("{}.gguf", stem);
      part.header = gguf_header_text(whole, members);
    } else {
      part.file_name = gguf_part_name(stem, i, count);
      part.header = gguf_header_text(part_metadata(whole, i, count, std::ssize(tensors)), members);
    }
    part.file_bytes = std::ssize(part.header);
    for (const GgufTensorSpec& tensor : members) {
      plan.places.push_back({i, part.file_bytes, tensor.bytes()});
      plan.tensor_bytes += tensor.bytes();
      part.file_bytes += gguf_padded(tensor.bytes(), alignment);
    }
    plan.shards.push_back(std::move(part));
  }
  return plan;
}

}  // namespace shardquant::gguf
