#include "pipeline/formats/weights/compressed_tensors/compressed_tensors_entry.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "pipeline/failure.hpp"

namespace shardquant::compressed_tensors {

namespace {

constexpr std::string_view kMethod = "compressed-tensors";
constexpr std::string_view kFormat = "pack-quantized";
constexpr std::int64_t kMostGroup = std::int64_t{1} << 31;

nlohmann::ordered_json weights_json(const PackQuantizedScheme& scheme) {
  const bool has_groups = scheme.group != 0;
  nlohmann::ordered_json group_size;
  if (has_groups) group_size = scheme.group;
  return {{"num_bits", scheme.bits},
          {"type", "int"},
          {"symmetric", scheme.symmetric},
          {"strategy", has_groups ? "group" : "channel"},
          {"group_size", group_size},
          {"dynamic", false},
          {"actorder", nullptr}};
}

void require_distinct_targets(const CompressedTensorsEntry& entry) {
  std::vector<std::string_view> targets;
  for (const TargetScheme& target : entry.targets) targets.push_back(target.target);
  std::sort(targets.begin(), targets.end());
  const auto twice = std::adjacent_find(targets.begin(), targets.end());
  if (twice != targets.end()) {
    fail(ExitCode::internal, "module {} has two schemes", formats::json_quote(*twice));
  }
}

void require_text(const formats::JsonNode& parent, std::string_view name, std::string_view wanted) {
  const formats::JsonNode node = parent.at(name);
  if (node.as_string() != wanted) {
    node.refuse(fmt::format("{}; only {} is read", formats::json_quote(node.as_string()), wanted));
  }
}

void require_absent(const formats::JsonNode& parent, std::string_view name) {
  if (const auto node = parent.find(name)) node->refuse("is not supported; only null is");
}

// The order of columns may have been anything while quantizing, but must not be stored.
void require_plain_order(const formats::JsonNode& weights) {
  const auto order = weights.find("actorder");
  if (!order || (order->is_bool() && !order->as_bool())) return;
  if (order->is_string() && (order->as_string() == "static" || order->as_string() == "weight")) {
    return;
  }
  order->refuse("columns in another order are not supported; null, static and weight are");
}

std::int64_t read_group(const formats::JsonNode& weights) {
  const std::string strategy = weights.string("strategy");
  if (strategy == "group") return weights.integer("group_size", 1, kMostGroup);
  if (strategy != "channel") {
    weights.at("strategy")
        .refuse(fmt::format("{}; group and channel are read", formats::json_quote(strategy)));
  }
  if (const auto size = weights.find("group_size")) size->as_integer(-1, -1);
  return 0;
}

PackQuantizedScheme read_scheme(const formats::JsonNode& group) {
  require_absent(group, "input_activations");
  require_absent(group, "output_activations");
  if (group.find("format")) require_text(group, "format", kFormat);
  const formats::JsonNode weights = group.at("weights");
  require_text(weights, "type", "int");
  require_plain_order(weights);
  if (const auto dynamic = weights.find("dynamic"); dynamic && dynamic->as_bool()) {
    dynamic->refuse("must be false");
  }
  PackQuantizedScheme scheme;
  scheme.bits = static_cast<int>(weights.integer("num_bits", 1, 8));
  scheme.group = read_group(weights);
  scheme.symmetric = weights.boolean_or("symmetric", true);
  return scheme;
}

// A class of modules begins with a capital letter and has no path, as "Linear".
bool is_class_name(std::string_view target) {
  return !target.empty() && target.front() >= 'A' && target.front() <= 'Z' &&
         target.find('.') == std::string_view::npos;
}

std::string read_target(const formats::JsonNode& node) {
  const std::string& target = node.as_string();
  if (target.empty()) node.refuse("is empty");
  if (is_class_name(target)) {
    node.refuse(
        fmt::format("{} is a class of modules; name the modules", formats::json_quote(target)));
  }
  return target;
}

}  // namespace

std::string compressed_tensors_text(const CompressedTensorsEntry& entry) {
  require_distinct_targets(entry);
  std::map<PackQuantizedScheme, std::vector<std::string>> targets;
  for (const TargetScheme& target : entry.targets) {
    targets[target.scheme].push_back(target.target);
  }
  auto groups = nlohmann::ordered_json::object();
  for (const auto& [scheme, names] : targets) {
    groups[pack_quantized_name(scheme)] = {{"targets", names},
                                           {"format", kFormat},
                                           {"input_activations", nullptr},
                                           {"output_activations", nullptr},
                                           {"weights", weights_json(scheme)}};
  }
  const nlohmann::ordered_json text = {
      {"quant_method", kMethod},    {"format", kFormat},      {"quantization_status", "compressed"},
      {"kv_cache_scheme", nullptr}, {"ignore", entry.ignore}, {"config_groups", groups}};
  return text.dump(2);
}

CompressedTensorsEntry read_compressed_tensors(const formats::JsonNode& quantization_config) {
  require_text(quantization_config, "quant_method", kMethod);
  require_text(quantization_config, "format", kFormat);
  if (quantization_config.find("quantization_status")) {
    require_text(quantization_config, "quantization_status", "compressed");
  }
  require_absent(quantization_config, "kv_cache_scheme");
  CompressedTensorsEntry entry;
  std::set<std::string> seen;
  const formats::JsonNode groups = quantization_config.at("config_groups");
  if (!groups.is_object()) groups.refuse("must be an object");
  for (std::int64_t g = 0; g < groups.size(); ++g) {
    const formats::JsonNode group = groups.member(g);
    const PackQuantizedScheme scheme = read_scheme(group);
    const formats::JsonNode targets = group.at("targets");
    if (!targets.is_array()) targets.refuse("must be an array");
    for (std::int64_t i = 0; i < targets.size(); ++i) {
      entry.targets.push_back({read_target(targets.at(i)), scheme});
      if (!seen.insert(entry.targets.back().target).second) {
        targets.at(i).refuse(
            fmt::format("{} is given twice", formats::json_quote(entry.targets.back().target)));
      }
    }
  }
  if (const auto ignore = quantization_config.find("ignore")) {
    if (!ignore->is_array()) ignore->refuse("must be an array");
    for (std::int64_t i = 0; i < ignore->size(); ++i) {
      entry.ignore.push_back(read_target(ignore->at(i)));
    }
  }
  return entry;
}

}  // namespace shardquant::compressed_tensors
