#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/shard_file.hpp"

namespace shardquant::records {

/// The recipe of an option as the 2023 measurement file stores it (`qparams`).
struct QParams {
  int group_size = 0;             ///< rows that share a scale
  std::vector<int> bits;          ///< bit widths, widest first
  std::vector<double> bits_prop;  ///< share of the rows at each width
  int scale_bits = 4;             ///< bits of a scale code

  friend bool operator==(const QParams&, const QParams&) = default;
};

/// What one option costs and loses on one linear layer.
struct MeasuredOption {
  std::string desc;  ///< "0.05:3b/0.95:2b 32g s4"
  double bpw = 0.0;  ///< bits / numel
  double total_bits =
      0.0;           ///< numel * bpw in double, as the file has it: up to 2.4e-7 off an integer
  double err = 0.0;  ///< relative Frobenius error of the layer's output, 0..1
  QParams qparams;

  /// total_bits as the integer it stands for.
  std::int64_t bits() const;

  friend bool operator==(const MeasuredOption&, const MeasuredOption&) = default;
};

/// All options of one linear layer.
struct LayerMeasurement {
  std::string key;         ///< "model.layers.0.self_attn.q_proj"
  std::int64_t numel = 0;  ///< K * N
  std::vector<MeasuredOption> options;
  std::optional<int> best_option_max;  ///< index into options: the 2023 rule's first stage
  std::optional<int> best_option;      ///< index into options: the allocation
  /// KL divergence of the model's predictions with this layer alone at one middling option, mean
  /// over tokens; and what an err of 1 would cost by it: kl / err^2 at that option, kl being 1e-7
  /// at least. Our own keys, which ExLlamaV2 ignores.
  std::optional<double> kl = std::nullopt;
  std::optional<double> sensitivity = std::nullopt;

  friend bool operator==(const LayerMeasurement&, const LayerMeasurement&) = default;
};

/// A measurement file of the 2023 schema.
struct Measurement {
  std::vector<LayerMeasurement> layers;
  int last_module_idx = 0;       ///< 2 * blocks + 2
  double base_perplexity = 0.0;  ///< of the unquantized model on the calibration rows
  /// Further top-level keys, each with its value as JSON text: our own (`err_norm` is `"pooled"`,
  /// quotes included) and foreign ones, which are carried along. ExLlamaV2 ignores them.
  std::map<std::string, std::string> extra;

  friend bool operator==(const Measurement&, const Measurement&) = default;
};

/// One option with its derived figures as the 2023 file has them: bpw = bits / numel and
/// total_bits = numel * bpw, both in double.
MeasuredOption measured_option(std::string desc, std::int64_t bits, std::int64_t numel, double err,
                               QParams qparams);

/// Parses the 2023 schema. `name` is what messages call the text.
/// @throws Failure 65 naming layer, option and field: bad JSON, duplicate keys, a missing or
/// mistyped field, a value out of range (NaN, negative, err > 1, bits 0, bpw that contradicts
/// total_bits), an empty list, two layers of one key, a best_option that is none of the options
Measurement parse_measurement_2023(std::string_view text, const std::string& name);

/// The 2023 schema as text: ExLlamaV2's own spacing and key order, numbers as the shortest text
/// that reads back, so that a file of ExLlamaV2 is reproduced byte for byte.
std::string measurement_2023_text(const Measurement& measurement);

/// parse_measurement_2023 of a file. @throws Failure 66 if it cannot be opened, 65 as above
Measurement read_measurement_2023(const std::filesystem::path& file);

/// Writes measurement_2023_text through a temporary name, flushed to disk before it is renamed.
/// @throws Failure 73 or 74
void write_measurement_2023(const std::filesystem::path& file, const Measurement& measurement,
                            formats::Overwrite overwrite);

}  // namespace shardquant::records
