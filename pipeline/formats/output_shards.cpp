#include "pipeline/formats/output_shards.hpp"

#include <algorithm>
#include <map>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/formats/safetensors_writer.hpp"

namespace shardquant::formats {

namespace {

constexpr std::int64_t kMib = std::int64_t{1} << 20;
// Length word, braces and padding of a header.
constexpr std::int64_t kHeaderFrame = 8 + 2 + 7;

// First tensor of each shard, and the number of tensors as the last element.
std::vector<std::size_t> cut_into_shards(std::span<const TensorSpec> tensors,
                                         std::int64_t limit_bytes) {
  std::vector<std::size_t> starts = {0};
  std::int64_t bytes = kHeaderFrame;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::int64_t more = tensors[i].bytes() + largest_header_entry(tensors[i]);
    if (bytes + more > limit_bytes && i > starts.back()) {
      starts.push_back(i);
      bytes = kHeaderFrame;
    }
    bytes += more;
  }
  starts.push_back(tensors.size());
  return starts;
}

std::string index_text(std::span<const TensorSpec> tensors, const OutputPlan& plan) {
  std::map<std::string_view, std::string_view> file_of;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto shard = plan.places[i].shard;
    file_of.emplace(tensors[i].name, plan.shards[shard].file_name);
  }
  std::string text =
      fmt::format("{{\n  \"metadata\": {{\n    \"total_size\": {}\n  }},\n", plan.tensor_bytes);
  text += "  \"weight_map\": {";
  const char* separator = "\n";
  for (const auto& [tensor, file] : file_of) {
    text += fmt::format("{}    {}: {}", separator, json_quote(tensor), json_quote(file));
    separator = ",\n";
  }
  return text + "\n  }\n}\n";
}

}  // namespace

std::int64_t OutputPlan::file_bytes() const {
  std::int64_t bytes = 0;
  for (const OutputShard& shard : shards) bytes += shard.file_bytes;
  return bytes;
}

OutputPlan plan_output_shards(std::span<const TensorSpec> tensors, std::int64_t shard_mib) {
  require_distinct_names(tensors);
  const std::int64_t limit_bytes = std::min(shard_mib, INT64_MAX / 2 / kMib) * kMib;
  const std::vector<std::size_t> starts = cut_into_shards(tensors, limit_bytes);
  const std::size_t shard_count = starts.size() - 1;

  OutputPlan plan;
  for (std::size_t shard = 0; shard < shard_count; ++shard) {
    const auto members = tensors.subspan(starts[shard], starts[shard + 1] - starts[shard]);
    SafetensorsLayout layout = lay_out_safetensors(members);
    for (std::size_t i = 0; i < members.size(); ++i) {
      const std::int64_t bytes = members[i].bytes();
      plan.places.push_back({static_cast<std::int64_t>(shard), layout.offsets[i], bytes});
      plan.tensor_bytes += bytes;
    }
    std::string name =
        shard_count == 1 ? "model.safetensors"
                         : fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shard_count);
    plan.shards.push_back({std::move(name), std::move(layout.header), layout.file_bytes});
  }
  plan.index_json = index_text(tensors, plan);
  return plan;
}

}  // namespace shardquant::formats
