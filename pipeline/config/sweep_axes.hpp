#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/config/settings_table.hpp"
#include "pipeline/config/yaml_tree.hpp"

namespace shardquant::config {

/// A setting that a sweep varies, and the values it takes, as they stand in the job file.
struct SweepAxis {
  std::string name;  ///< short, of the setting: "bpw"
  const Setting* setting = nullptr;
  std::vector<YamlNode> values;
};

/// Bits of the head by the bits per weight of the rest.
struct HeadBitsRule {
  YamlNode otherwise;
  std::vector<std::pair<double, YamlNode>> above;  ///< thresholds of allocate.bpw, falling
};

/// The section `sweep` of a job file, its values not checked yet.
struct SweepAxes {
  std::vector<SweepAxis> axes;  ///< in the order of the file
  std::optional<HeadBitsRule> head_bits;
  bool zipped = false;  ///< lists of one length, taken in step; else every combination
};

/// What a rule of `sweep.head_bits` sets.
inline constexpr const char* kHeadBitsPath = "allocate.head_bits";

/// The short name of a setting that may be swept; empty for any other.
std::string sweep_name(const std::string& path);

/// Whether other values of the setting with that short name are other measurements.
bool sweeps_measurement(const std::string& name);

/// Reads `sweep: {bpw: [...], objective: [...], head_bits: [...], damping: [...], rows: [...],
/// options: [...], combine: product or zip}`; head_bits may also be a rule
/// {default: 6, when_bpw_above: {6: 8}}. `name` stands for the job file.
/// @throws Failure(config) with the place
SweepAxes read_sweep_axes(const YamlNode& sweep, const std::string& name);

}  // namespace shardquant::config
