#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/model_layout.hpp"

namespace shardquant::waves {

// What work costs, from shapes alone: operations as the sums over rows and columns that each step
// goes through. All pure.

/// What a piece of work takes, by the kinds of operations that a machine does at different rates.
struct WorkAmount {
  double forward = 0.0;  ///< operations of linear layers and attention
  double hessian = 0.0;  ///< operations of X^T X, one triangle
  double factor = 0.0;   ///< operations of Cholesky factorizations
  double update = 0.0;   ///< operations that carry errors on to later rows, and of output norms
  double search = 0.0;   ///< steps of the scale search: one weight, one shrink factor
  double weights = 0.0;  ///< weights rounded, times options

  WorkAmount& operator+=(const WorkAmount& other);
};

/// One number, by which work is dealt out: floating point operations, as those of a GEMM; a step of
/// the scale search counts as the operations that take as long (measured on the CPU back end:
/// tests/bench/README.md).
double operations_of(const WorkAmount& work);

/// What working a group off is made of: units, in the order in which a rank does them. Every run of
/// units can be done by a rank of its own, which then factors the Hessian for itself.
struct GroupUnits {
  struct Unit {
    std::int64_t layer = 0;   ///< of the model
    std::int64_t option = 0;  ///< of the table
    bool wanted = false;      ///< false: done already, or does not exist; costs nothing
    WorkAmount first;         ///< as the first one of a run
    WorkAmount after;         ///< after the wanted unit before it
  };
  std::int64_t group = 0;
  WorkAmount setup;  ///< of every run: the factorization
  std::vector<Unit> units;

  std::int64_t count() const { return static_cast<std::int64_t>(units.size()); }
  /// Of units [first, end); nothing where none of them is wanted.
  WorkAmount work(std::int64_t first, std::int64_t end) const;
};

/// Measuring: a unit is one option of one layer, layer by layer, the options of a layer in sharing
/// order, so that a run of units loses little of what options share. Of the head, which is not
/// measured, and of groups with nothing wanted, one unit stands for adding up the Hessian. wanted:
/// by layer * options + option.
GroupUnits measure_units(const model::ModelLayout& layout, const model::HessianGroup& group,
                         const weights::WeightFormat& format, const std::vector<bool>& wanted);
/// The same with everything wanted.
GroupUnits measure_units(const model::ModelLayout& layout, const model::HessianGroup& group,
                         const weights::WeightFormat& format);

/// Quantizing: a unit is one layer. wanted: by layer.
GroupUnits quantize_units(const model::ModelLayout& layout, const model::HessianGroup& group,
                          const std::vector<bool>& wanted);

/// Options of one layer, by index in the table, ascending.
struct LayerOptions {
  std::int64_t layer = 0;
  std::vector<std::int64_t> options;

  friend bool operator==(const LayerOptions&, const LayerOptions&) = default;
};

/// "0,3,7"; "all" where none is given.
std::string options_text(const std::vector<std::int64_t>& options);

/// The wanted units [first, end), layer by layer.
std::vector<LayerOptions> layer_options(const GroupUnits& units, std::int64_t first,
                                        std::int64_t end);

/// Forward pass of one block (`layers`: the head) and its Hessians over `tokens` tokens in rows of
/// `length`.
WorkAmount block_work(const model::ModelLayout& layout, std::int64_t block, std::int64_t tokens,
                      std::int64_t length);

}  // namespace shardquant::waves
