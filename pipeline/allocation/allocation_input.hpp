#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/records/measurement_file.hpp"
#include "pipeline/records/measurement_file_2024.hpp"

namespace shardquant::allocation {

/// One option as the allocation sees it.
struct AllocationOption {
  std::string desc;
  std::int64_t bits = 0;
  double err = 0.0;
  double bpw = 0.0;  ///< bits / numel as the file has it: the 2023 rule compares these
  std::int64_t cut_bits =
      0;  ///< int(total_bits), what the 2023 rule counts; elsewhere equal to bits
};

/// One unit of choice: a linear layer (2023 schema) or a module (2024 schema).
struct AllocationLayer {
  std::string key;
  std::int64_t numel = 0;  ///< 0 if the file does not tell (2024 schema without known shapes)
  std::vector<AllocationOption> options;
  std::optional<double> sensitivity = std::nullopt;  ///< of records::LayerMeasurement
};

/// What the allocation needs of a measurement, whichever schema it came from.
struct AllocationInput {
  std::string name;  ///< of the measurement, for messages
  std::vector<AllocationLayer> layers;

  std::int64_t numel() const;
  /// Whether the objective `kl` can be taken: all layers have a sensitivity.
  bool has_sensitivities() const;
};

/// The view of a 2023 measurement.
AllocationInput allocation_input(const records::Measurement& measurement, const std::string& name);

/// The view of a 2024 measurement: one layer per measured module, err = 1 - accuracy.
/// @param numel  weights per module of the measurement; 0 where unknown
AllocationInput allocation_input(const records::Measurement2024& measurement,
                                 const std::vector<std::int64_t>& numel, const std::string& name);

}  // namespace shardquant::allocation
