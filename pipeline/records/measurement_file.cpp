#include "pipeline/records/measurement_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "pipeline/failure.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/formats/shard_file.hpp"
#include "pipeline/records/measurement_json.hpp"
#include "pipeline/records/python_number.hpp"

namespace shardquant::records {

namespace {

// bpw and total_bits are each rounded once; anything beyond is another quantity.
constexpr double kBpwTolerance = 1e-9;

constexpr double kLargest = 1e308;

QParams parse_qparams(const formats::JsonNode& node) {
  QParams qparams;
  qparams.group_size = static_cast<int>(node.integer("group_size", 1, kMaxGroupSize));
  qparams.bits = parse_bits(node.at("bits"));
  qparams.bits_prop = parse_proportions(node.at("bits_prop"), qparams.bits.size());
  qparams.scale_bits = static_cast<int>(node.integer("scale_bits", 1, 16));
  return qparams;
}

MeasuredOption parse_option(const formats::JsonNode& node, std::int64_t numel) {
  MeasuredOption option;
  option.desc = node.string("desc");
  if (option.desc.empty()) node.at("desc").refuse("must not be empty");
  option.bpw = node.number("bpw", 0.0, kMaxBpw);
  option.total_bits = node.number("total_bits", 1.0, kMaxLayerBits);
  option.err = node.number("err", 0.0, 1.0);
  option.qparams = parse_qparams(node.at("qparams"));
  const double expected = option.bpw * static_cast<double>(numel);
  if (std::abs(expected - option.total_bits) > kBpwTolerance * option.total_bits + 1.0) {
    node.at("total_bits")
        .refuse(fmt::format("{} contradicts bpw {} of {} weights", option.total_bits, option.bpw,
                            numel));
  }
  return option;
}

std::optional<int> parse_best(const formats::JsonNode& layer, std::string_view name,
                              const LayerMeasurement& measured) {
  const auto node = layer.find(name);
  if (!node) return std::nullopt;
  const MeasuredOption best = parse_option(*node, measured.numel);
  const auto place = std::find(measured.options.begin(), measured.options.end(), best);
  if (place == measured.options.end()) node->refuse("is none of the layer's options");
  return static_cast<int>(place - measured.options.begin());
}

LayerMeasurement parse_layer(const formats::JsonNode& node) {
  LayerMeasurement layer;
  layer.key = node.string("key");
  if (layer.key.empty()) node.at("key").refuse("must not be empty");
  return naming_layer(layer.key, [&] {
    layer.numel = node.integer("numel", 1, kMaxNumel);
    const formats::JsonNode options = node.at("options");
    std::set<std::string> descs;
    if (!options.is_array() || options.size() == 0) options.refuse("must be a list of options");
    for (std::int64_t i = 0; i < options.size(); ++i) {
      layer.options.push_back(parse_option(options.at(i), layer.numel));
      if (!descs.insert(layer.options.back().desc).second) {
        options.at(i).at("desc").refuse("is given twice in this layer");
      }
    }
    layer.best_option_max = parse_best(node, "best_option_max", layer);
    layer.best_option = parse_best(node, "best_option", layer);
    if (node.find("kl")) layer.kl = node.number("kl", 0.0, kLargest);
    if (node.find("sensitivity")) layer.sensitivity = node.number("sensitivity", 0.0, kLargest);
    return layer;
  });
}

void append_option(std::string& text, const MeasuredOption& option, int depth) {
  const std::string indent(static_cast<std::size_t>(depth) * 4, ' ');
  fmt::format_to(std::back_inserter(text),
                 "{{\n"
                 "{0}    \"desc\": {1},\n"
                 "{0}    \"bpw\": {2},\n"
                 "{0}    \"total_bits\": {3},\n"
                 "{0}    \"err\": {4},\n"
                 "{0}    \"qparams\": {{\n"
                 "{0}        \"group_size\": {5},\n"
                 "{0}        \"bits\": ",
                 indent, formats::json_quote(option.desc), python_number(option.bpw),
                 python_number(option.total_bits), python_number(option.err),
                 option.qparams.group_size);
  append_list(text, depth + 2, option.qparams.bits, [](int b) { return fmt::format("{}", b); });
  fmt::format_to(std::back_inserter(text), ",\n{}        \"bits_prop\": ", indent);
  append_list(text, depth + 2, option.qparams.bits_prop, python_number);
  fmt::format_to(std::back_inserter(text), ",\n{0}        \"scale_bits\": {1}\n{0}    }}\n{0}}}",
                 indent, option.qparams.scale_bits);
}

void append_layer(std::string& text, const LayerMeasurement& layer) {
  fmt::format_to(std::back_inserter(text),
                 "        {{\n"
                 "            \"key\": {},\n"
                 "            \"numel\": {},\n"
                 "            \"options\": [\n",
                 formats::json_quote(layer.key), layer.numel);
  for (std::size_t i = 0; i < layer.options.size(); ++i) {
    text += "                ";
    append_option(text, layer.options[i], 4);
    text += i + 1 < layer.options.size() ? ",\n" : "\n";
  }
  text += "            ]";
  const auto append_best = [&](const char* name, std::optional<int> index) {
    if (!index) return;
    fmt::format_to(std::back_inserter(text), ",\n            \"{}\": ", name);
    append_option(text, layer.options[static_cast<std::size_t>(*index)], 3);
  };
  append_best("best_option_max", layer.best_option_max);
  append_best("best_option", layer.best_option);
  const auto append_number = [&](const char* name, std::optional<double> value) {
    if (!value) return;
    fmt::format_to(std::back_inserter(text), ",\n            \"{}\": {}", name,
                   python_number(*value));
  };
  append_number("kl", layer.kl);
  append_number("sensitivity", layer.sensitivity);
  text += "\n        }";
}

}  // namespace

std::int64_t MeasuredOption::bits() const {
  return std::llround(total_bits);
}

MeasuredOption measured_option(std::string desc, std::int64_t bits, std::int64_t numel, double err,
                               QParams qparams) {
  MeasuredOption option;
  option.desc = std::move(desc);
  option.bpw = static_cast<double>(bits) / static_cast<double>(numel);
  option.total_bits = static_cast<double>(numel) * option.bpw;
  option.err = err;
  option.qparams = std::move(qparams);
  return option;
}

Measurement parse_measurement_2023(std::string_view text, const std::string& name) {
  const formats::JsonText json = parse_measurement_json(text, name);
  return measurement_2023_of(json.root());
}

Measurement measurement_2023_of(const formats::JsonNode& root) {
  Measurement measurement;
  const formats::JsonNode layers = root.at("measurement");
  if (!layers.is_array()) {
    layers.refuse(layers.is_object() ? "is of the 2024 schema, where a 2023 one is needed"
                                     : "must be a list of layers");
  }
  if (layers.size() == 0) layers.refuse("holds no layer");
  std::set<std::string> keys;
  for (std::int64_t i = 0; i < layers.size(); ++i) {
    measurement.layers.push_back(parse_layer(layers.at(i)));
    if (!keys.insert(measurement.layers.back().key).second) {
      layers.at(i).at("key").refuse(
          fmt::format("{} is measured twice", formats::json_quote(measurement.layers.back().key)));
    }
  }
  measurement.last_module_idx = static_cast<int>(root.integer("last_module_idx", 0, kMaxModules));
  measurement.base_perplexity = root.number("base_perplexity", 0.0, kLargest);
  measurement.extra = other_members(root, {"measurement", "last_module_idx", "base_perplexity"});
  return measurement;
}

std::string measurement_2023_text(const Measurement& measurement) {
  std::string text = "{\n    \"measurement\": [\n";
  for (std::size_t i = 0; i < measurement.layers.size(); ++i) {
    append_layer(text, measurement.layers[i]);
    text += i + 1 < measurement.layers.size() ? ",\n" : "\n";
  }
  fmt::format_to(std::back_inserter(text),
                 "    ],\n    \"last_module_idx\": {},\n    \"base_perplexity\": {}",
                 measurement.last_module_idx, python_number(measurement.base_perplexity));
  for (const auto& [key, value] : measurement.extra) {
    fmt::format_to(std::back_inserter(text), ",\n    {}: {}", formats::json_quote(key), value);
  }
  return text + "\n}";
}

Measurement read_measurement_2023(const std::filesystem::path& file) {
  return parse_measurement_2023(formats::read_text_file(file, kMaxMeasurementBytes), file.string());
}

void write_measurement_2023(const std::filesystem::path& file, const Measurement& measurement,
                            formats::Overwrite overwrite) {
  formats::write_file(file, measurement_2023_text(measurement), overwrite);
}

}  // namespace shardquant::records
