#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/records/measurement_file.hpp"

namespace shardquant::records {

/// One layer's line of a plan.
struct PlannedLayer {
  std::string key;
  std::string desc;       ///< the option chosen
  std::int64_t bits = 0;  ///< as the measurement counts them
  double err = 0.0;       ///< as measured

  friend bool operator==(const PlannedLayer&, const PlannedLayer&) = default;
};

/// plan.json: which option every layer gets, and what proves that the choice is the best one.
struct Plan {
  std::vector<PlannedLayer> layers;        ///< in the order of the measurement
  std::map<std::string, QParams> recipes;  ///< desc -> recipe, for every desc in use (2023 schema)

  std::string objective;  ///< sum, nll, sum_squares, log, minimax_sum, weighted, exl2-2023
  std::string status;     ///< proved, within_tolerance, stopped, rule
  /// What was minimized, at this choice; for minimax_sum the sum, max_err being least by itself;
  /// for exl2-2023, which minimizes nothing, the sum of err.
  double objective_value = 0.0;
  /// No choice within the budget and the constraints goes below this; absent for the 2023 rule.
  std::optional<double> lower_bound;
  std::optional<double> gap;  ///< (objective_value - lower_bound) / |objective_value|
  double sum_err = 0.0;
  double max_err = 0.0;

  std::int64_t numel = 0;                    ///< weights of all layers
  std::int64_t budget_bits = 0;              ///< of the layers, as the measurement counts bits
  std::int64_t total_bits = 0;               ///< spent, counted the same way
  std::optional<std::int64_t> stored_bits;   ///< of the layers on disk, q_invperm included
  std::optional<std::int64_t> folder_bytes;  ///< of the whole output folder
  std::optional<std::int64_t> folder_budget_bytes;  ///< what it may take, where that was asked for
  std::vector<std::string> constraints;             ///< as the user wrote them
  std::string measurement_hash;                     ///< "xxh3-128:<hex>" of the measurement file
  std::vector<std::string> warnings;

  /// total_bits / numel.
  double bpw() const;
  /// stored_bits per weight; 0 where they are not known.
  double stored_bpw() const;

  friend bool operator==(const Plan&, const Plan&) = default;
};

/// The plan as JSON text; equal plans give equal bytes.
std::string plan_text(const Plan& plan);

/// Parses plan_text. @throws Failure 65 naming the field
Plan parse_plan(std::string_view text, const std::string& name);

/// parse_plan of a file. @throws Failure 66 if it cannot be opened, 65 as above
Plan read_plan(const std::filesystem::path& file);

/// Writes plan_text through a temporary name, flushed to disk before it is renamed.
/// @throws Failure 73 or 74
void write_plan(const std::filesystem::path& file, const Plan& plan, formats::Overwrite overwrite);

/// "xxh3-128:<32 hex digits>" of the bytes; identifies the measurement a plan was made from.
std::string content_hash(std::string_view bytes);

}  // namespace shardquant::records
