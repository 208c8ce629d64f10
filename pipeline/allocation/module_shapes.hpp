#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/records/measurement_file_2024.hpp"

namespace shardquant::allocation {

/// Bits of a [rows, cols] projection as ExLlamaV2 of 2024 counts them: weights, per group 16
/// (scale_max) + 32 (q_groups) + scale_bits * cols, and 32 * rows of q_invperm if `with_invperm`;
/// nothing where the recipe does not cover the rows.
/// Source: as measured_bits of formats/weights/exl2, groups by ExLlamaV2's later rule.
std::optional<std::int64_t> projection_bits(const records::ProjectionRecipe& recipe,
                                            std::int64_t rows, std::int64_t cols,
                                            bool with_invperm);

/// Shape of one kind of module, found from its bits alone.
struct ModuleShape {
  std::vector<std::int64_t> rows;  ///< per projection
  std::vector<std::int64_t> cols;
  std::int64_t experts = 1;  ///< copies of every projection
  bool with_invperm = true;  ///< total_bits include the bits of q_invperm

  std::int64_t numel() const;
};

/// The files of 2024 give bits but no shapes; the bits, which follow a formula, determine them.
struct ModuleShapes {
  /// Per module of the measurement; nothing for modules without options and where no shape, or
  /// more than one, reproduces the bits of all options.
  std::vector<std::optional<ModuleShape>> shapes;
  std::vector<std::string> remarks;  ///< for the user: q_invperm left out, shapes not found
};

/// Finds the shapes: rows and columns are multiples of 32 up to 65536 in attention modules
/// (q, k, v, o) and gated or plain MLP modules (gate, up, down; w1, w2, w3), up to 512 experts.
ModuleShapes find_module_shapes(const records::Measurement2024& measurement);

}  // namespace shardquant::allocation
