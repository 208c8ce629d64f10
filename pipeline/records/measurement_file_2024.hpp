#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "pipeline/formats/shard_file.hpp"
#include "pipeline/records/measurement_file.hpp"

namespace shardquant::records {

/// The recipe of one projection as the 2024 schema stores it: a group size per bit width.
struct ProjectionRecipe {
  std::vector<int> bits;          ///< bit widths, widest first
  std::vector<int> group_sizes;   ///< of each width
  std::vector<double> bits_prop;  ///< share of the rows at each width
  int scale_bits = 4;

  /// "0.05:3b_64g/0.95:2b_64g s4", as ExLlamaV2 describes it.
  std::string desc() const;

  friend bool operator==(const ProjectionRecipe&, const ProjectionRecipe&) = default;
};

/// One way to quantize a module: a recipe per projection.
struct ModuleOption {
  double accuracy = 0.0;  ///< 1 - relative error of the module's output
  std::int64_t total_bits = 0;
  std::vector<std::pair<std::string, ProjectionRecipe>> projections;  ///< "q_proj", ...

  /// "q_proj 0.05:3b_64g/0.95:2b_64g s4, k_proj ...".
  std::string desc() const;

  friend bool operator==(const ModuleOption&, const ModuleOption&) = default;
};

/// All options of one attention or MLP module; none where the file has null (norm, head).
struct ModuleMeasurement {
  std::string key;  ///< "model.layers.0.self_attn"
  std::vector<ModuleOption> options;

  friend bool operator==(const ModuleMeasurement&, const ModuleMeasurement&) = default;
};

/// A measurement file of the 2024 schema.
struct Measurement2024 {
  std::vector<ModuleMeasurement> modules;  ///< in the order of the file
  int last_module_idx = 0;
  std::map<std::string, std::string> extra;  ///< further top-level keys, each as JSON text
  /// Per module an index into its options, 0 for modules without: written as `strategy`, the map
  /// module -> option from which ExLlamaV2 quantizes. Not read back.
  std::optional<std::vector<int>> strategy;
};

/// Parses the 2024 schema. @throws Failure 65 naming module, option and field: as
/// parse_measurement_2023; also a width without group size, a module that was not measured
Measurement2024 parse_measurement_2024(std::string_view text, const std::string& name);

/// The 2024 schema as text, with ExLlamaV2's key order, spacing and notation of numbers.
std::string measurement_2024_text(const Measurement2024& measurement);

/// Writes measurement_2024_text through a temporary name, flushed to disk before it is renamed.
/// @throws Failure 73 or 74
void write_measurement_2024(const std::filesystem::path& file, const Measurement2024& measurement,
                            formats::Overwrite overwrite);

/// A measurement of either schema, told apart by `measurement`, a list in 2023 and an object in
/// 2024. @throws Failure 65 as the parsers of the schemas
using AnyMeasurement = std::variant<Measurement, Measurement2024>;
AnyMeasurement parse_measurement(std::string_view text, const std::string& name);

}  // namespace shardquant::records
