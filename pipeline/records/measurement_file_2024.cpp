#include "pipeline/records/measurement_file_2024.hpp"

#include <fmt/format.h>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/records/measurement_json.hpp"
#include "pipeline/records/python_number.hpp"

namespace shardquant::records {

namespace {

constexpr std::int64_t kMaxProjections = 64;

ProjectionRecipe parse_recipe(const formats::JsonNode& node) {
  ProjectionRecipe recipe;
  recipe.bits = parse_bits(node.at("bits"));
  recipe.bits_prop = parse_proportions(node.at("bits_prop"), recipe.bits.size());
  recipe.scale_bits = static_cast<int>(node.integer("scale_bits", 1, 16));
  const formats::JsonNode sizes = node.at("group_size");
  if (!sizes.is_object()) sizes.refuse("must be an object: bit width -> group size");
  for (const int bits : recipe.bits) {
    recipe.group_sizes.push_back(
        static_cast<int>(sizes.integer(std::to_string(bits), 1, kMaxGroupSize)));
  }
  return recipe;
}

ModuleOption parse_option(const formats::JsonNode& node) {
  ModuleOption option;
  option.accuracy = node.number("accuracy", 0.0, 1.0);
  option.total_bits = node.integer("total_bits", 1, static_cast<std::int64_t>(kMaxLayerBits));
  if (node.size() > kMaxProjections) node.refuse("has too many projections");
  for (std::int64_t i = 0; i < node.size(); ++i) {
    const std::string& name = node.member_name(i);
    if (name == "accuracy" || name == "total_bits") continue;
    option.projections.emplace_back(name, parse_recipe(node.member(i)));
  }
  if (option.projections.empty()) node.refuse("has no recipe of a projection");
  return option;
}

void require_same_projections(const formats::JsonNode& node, const ModuleOption& first,
                              const ModuleOption& option) {
  bool same = first.projections.size() == option.projections.size();
  for (std::size_t i = 0; same && i < first.projections.size(); ++i) {
    same = first.projections[i].first == option.projections[i].first;
  }
  if (!same) node.refuse("has other projections than the module's first option");
}

ModuleMeasurement parse_module(const std::string& key, const formats::JsonNode& node) {
  ModuleMeasurement module{key, {}};
  if (node.is_null()) return module;
  if (!node.is_array() || node.size() == 0) node.refuse("must be a list of options, or null");
  for (std::int64_t i = 0; i < node.size(); ++i) {
    module.options.push_back(parse_option(node.at(i)));
    require_same_projections(node.at(i), module.options.front(), module.options.back());
  }
  return module;
}

// Python writes the proportion of a single width as the integer 1.
std::string proportion_text(double value) {
  return value == 1.0 ? "1" : python_number(value);
}

void append_recipe(std::string& text, const ProjectionRecipe& recipe, int depth) {
  const std::string indent(static_cast<std::size_t>(depth) * 4, ' ');
  text += "{\n" + indent + "    \"group_size\": {";
  for (std::size_t i = 0; i < recipe.bits.size(); ++i) {
    fmt::format_to(std::back_inserter(text), "{}\n{}        \"{}\": {}", i == 0 ? "" : ",", indent,
                   recipe.bits[i], recipe.group_sizes[i]);
  }
  text += "\n" + indent + "    },\n" + indent + "    \"bits\": ";
  append_list(text, depth + 1, recipe.bits, [](int b) { return std::to_string(b); });
  text += ",\n" + indent + "    \"bits_prop\": ";
  append_list(text, depth + 1, recipe.bits_prop, proportion_text);
  fmt::format_to(std::back_inserter(text), ",\n{0}    \"scale_bits\": {1}\n{0}}}", indent,
                 recipe.scale_bits);
}

void append_option(std::string& text, const ModuleOption& option, int depth) {
  const std::string indent(static_cast<std::size_t>(depth) * 4, ' ');
  fmt::format_to(std::back_inserter(text),
                 "{{\n{0}    \"accuracy\": {1},\n{0}    \"total_bits\": {2}", indent,
                 python_number(option.accuracy), option.total_bits);
  for (const auto& [name, recipe] : option.projections) {
    fmt::format_to(std::back_inserter(text), ",\n{}    {}: ", indent, formats::json_quote(name));
    append_recipe(text, recipe, depth + 1);
  }
  text += "\n" + indent + "}";
}

void append_modules(std::string& text, const std::vector<ModuleMeasurement>& modules) {
  for (std::size_t m = 0; m < modules.size(); ++m) {
    text += fmt::format("{}\n        {}: ", m == 0 ? "" : ",", formats::json_quote(modules[m].key));
    if (modules[m].options.empty()) {
      text += "null";
      continue;
    }
    text += "[";
    for (std::size_t i = 0; i < modules[m].options.size(); ++i) {
      text += i == 0 ? "\n            " : ",\n            ";
      append_option(text, modules[m].options[i], 3);
    }
    text += "\n        ]";
  }
}

void append_strategy(std::string& text, const Measurement2024& measurement) {
  text += ",\n    \"strategy\": {";
  bool first = true;
  for (std::size_t m = 0; m < measurement.modules.size(); ++m) {
    const ModuleMeasurement& module = measurement.modules[m];
    if (module.options.empty()) continue;
    text += fmt::format("{}\n        {}: ", first ? "" : ",", formats::json_quote(module.key));
    append_option(text, module.options.at(static_cast<std::size_t>((*measurement.strategy)[m])), 2);
    first = false;
  }
  text += "\n    }";
}

}  // namespace

std::string ProjectionRecipe::desc() const {
  std::string text;
  for (std::size_t i = 0; i < bits.size(); ++i) {
    text += fmt::format("{}{}:{}b_{}g", i == 0 ? "" : "/", proportion_text(bits_prop[i]), bits[i],
                        group_sizes[i]);
  }
  return text + fmt::format(" s{}", scale_bits);
}

std::string ModuleOption::desc() const {
  std::string text;
  for (const auto& [name, recipe] : projections) {
    text += (text.empty() ? "" : ", ") + name + " " + recipe.desc();
  }
  return text;
}

Measurement2024 parse_measurement_2024(std::string_view text, const std::string& name) {
  const formats::JsonText json = parse_measurement_json(text, name);
  return measurement_2024_of(json.root());
}

Measurement2024 measurement_2024_of(const formats::JsonNode& root) {
  Measurement2024 measurement;
  const formats::JsonNode modules = root.at("measurement");
  if (!modules.is_object()) {
    modules.refuse(modules.is_array() ? "is of the 2023 schema, where a 2024 one is needed"
                                      : "must be an object: module -> options");
  }
  bool any = false;
  for (std::int64_t i = 0; i < modules.size(); ++i) {
    measurement.modules.push_back(parse_module(modules.member_name(i), modules.member(i)));
    any = any || !measurement.modules.back().options.empty();
  }
  if (!any) modules.refuse("holds no measured module");
  measurement.last_module_idx = static_cast<int>(root.integer("last_module_idx", 0, kMaxModules));
  measurement.extra = other_members(root, {"measurement", "last_module_idx", "strategy"});
  return measurement;
}

std::string measurement_2024_text(const Measurement2024& measurement) {
  std::string text = "{\n    \"measurement\": {";
  append_modules(text, measurement.modules);
  text += fmt::format("\n    }},\n    \"last_module_idx\": {}", measurement.last_module_idx);
  for (const auto& [key, value] : measurement.extra) {
    text += fmt::format(",\n    {}: {}", formats::json_quote(key), value);
  }
  if (measurement.strategy) append_strategy(text, measurement);
  return text + "\n}";
}

void write_measurement_2024(const std::filesystem::path& file, const Measurement2024& measurement,
                            formats::Overwrite overwrite) {
  formats::write_file(file, measurement_2024_text(measurement), overwrite);
}

AnyMeasurement parse_measurement(std::string_view text, const std::string& name) {
  const formats::JsonText json = parse_measurement_json(text, name);
  if (json.root().at("measurement").is_object()) return measurement_2024_of(json.root());
  return measurement_2023_of(json.root());
}

}  // namespace shardquant::records
