#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "pipeline/model/overlaid_weights.hpp"
#include "pipeline/model/run_block.hpp"
#include "pipeline/model/run_head.hpp"
#include "pipeline/waves/run_context.hpp"
#include "pipeline/waves/sensitivity_state.hpp"
#include "pipeline/waves/sensitivity_units.hpp"

namespace shardquant::waves {

/// Forwards models side by side with the model as it is, each with the layers of one unit replaced
/// by their trial weights, and finds how far each one's predictions are from the model's. Every one
/// goes through a block as a batch of its own, of the same shape: so what is found of a unit does
/// not depend on which others are forwarded with it, nor on where the work was put down before.
///
/// One pass over the weights serves as many units as kCopyBytes holds states of. Through block i go
/// the states that were begun before it; then each unit of block i begins from the model's own
/// state. States are stored when a checkpoint is due and when the run is to stop. Not collective.
class PerturbedForward {
 public:
  /// done: operations of forwarding so far, of the pass under way.
  using ProgressTaker = std::function<void(double done)>;

  /// units: all of them, which must outlive this. source, trials: the model, and the same with
  /// every linear layer of the blocks replaced.
  PerturbedForward(const RunContext& context, std::span<const SensitivityUnit> units,
                   const model::WeightSource& source, const model::WeightSource& trials);

  /// Forwards the units of `pass`, in the order of the model, and records what is found in the work
  /// folder. next_block: where the pass after this one begins, -1 where there is none. False where
  /// the run is to stop: then what was begun is stored.
  /// @throws Failure as run_block and load_block_weights
  bool run_pass(std::span<const std::int64_t> pass, std::int64_t next_block,
                const ProgressTaker& progress);

  /// Of all passes so far.
  const std::vector<UnitSensitivity>& found() const { return found_; }

 private:
  void begin_pass(std::span<const std::int64_t> pass);
  void begin_base(std::int64_t last_block);
  bool forward_block(std::int64_t block, std::span<const std::int64_t> pass);
  void begin_unit(model::BlockWeights& weights, std::int64_t index);
  void forward(const model::BlockWeights& weights, kernels::MatrixView hidden);
  void forward_replaced(model::BlockWeights& weights, std::span<const std::int64_t> layers,
                        kernels::MatrixView hidden);
  kernels::Matrix copy_of_base();
  double effect_of(kernels::ConstMatrixView hidden);
  bool find_divergences();
  const std::vector<float>& logits_of(const model::HeadWeights& head, kernels::ConstMatrixView x,
                                      std::vector<float>& logits);
  void record(std::int64_t unit, double divergence);
  bool has_room() const;
  void store_base() const;
  void store();
  const SensitivityUnit& unit(std::int64_t index) const {
    return units_[static_cast<std::size_t>(index)];
  }

  const RunContext& context_;
  std::span<const SensitivityUnit> units_;
  const model::WeightSource& source_;
  const model::WeightSource& trials_;
  SensitivityTokens tokens_;
  model::BlockWorkspace workspace_;
  CopyState base_;
  kernels::Matrix after_;                   // the base's state after the block at hand
  std::map<std::int64_t, CopyState> open_;  // by unit
  double done_ = 0.0;                       // operations of this pass
  double stored_s_ = 0.0;                   // when states were stored last
  const ProgressTaker* progress_ = nullptr;
  std::vector<UnitSensitivity> found_;
};

}  // namespace shardquant::waves
