#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace shardquant::allocation {

/// A rule on the layers whose key matches a pattern (layer_pattern.hpp).
struct Constraint {
  enum class Kind {
    pin,      ///< the layers take `option`
    floor,    ///< the layers take no option of less than `bpw` bits per weight
    ceiling,  ///< the layers take no option of more than `bpw` bits per weight
    tie,      ///< the layers take the same option, block by block
    tie_all,  ///< the layers take the same option, all of them
  };
  Kind kind = Kind::floor;
  std::string pattern;
  std::string option;  ///< pin: the option's desc, or "#7" for index 7
  double bpw = 0.0;    ///< floor, ceiling

  /// "pin PATTERN=DESC", "floor PATTERN=4.0", "tie PATTERN".
  std::string text() const;
};

/// "pin", "floor", "ceiling", "tie", "tie_all".
std::string_view constraint_name(Constraint::Kind kind);

/// The constraint of that kind from "PATTERN=VALUE", or from "PATTERN" for ties. The last "="
/// separates, so a pattern may hold others. @throws Failure 78 naming the text
Constraint parse_constraint(Constraint::Kind kind, std::string_view text);

/// Weight of the layers that a pattern matches, for the objective `weighted`.
struct LayerWeight {
  std::string pattern;
  double weight = 1.0;
};

/// Weights in order: the last pattern that matches a layer counts, 1 where none does.
using LayerWeights = std::vector<LayerWeight>;

/// Reads weights from a JSON object {"PATTERN": weight, ...}.
/// @throws Failure: 66 if it cannot be opened, 65 if it is no such object or a weight is negative
LayerWeights read_layer_weights(const std::filesystem::path& file);

}  // namespace shardquant::allocation
