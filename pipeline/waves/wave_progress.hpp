#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "pipeline/report/progress.hpp"
#include "pipeline/report/progress_ticker.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::waves {

/// What a wave costs, in operations: its blocks' forward pass, its groups, and those of them that
/// this rank works off.
struct WaveCost {
  double forward = 0.0;
  double groups = 0.0;
  double own = 0.0;
};

/// Progress of a stage that goes wave by wave, shown on root: its own part of a wave under way
/// stands for the whole, since groups are dealt out by cost. Lines end with the age of the last
/// checkpoint. Does nothing on other ranks and where there are no items.
class WaveProgress {
 public:
  /// items: Hessian groups, or blocks where there are only those to go through, as `unit` says;
  /// cost: theirs and the forward pass's; later_cost: of the stages that follow. `context` must
  /// outlive it.
  WaveProgress(const RunContext& context, std::string stage, std::int64_t items, std::string unit,
               double cost, double later_cost);

  void begin(const WaveCost& wave);
  /// This rank has worked off a group, or a part of one, of that cost.
  void own_done(double cost);
  /// All ranks have worked off the wave, of so many items.
  void end(std::int64_t items);

 private:
  std::string checkpoint_note() const;

  const RunContext& context_;
  std::optional<report::Progress> progress_;
  std::optional<report::ProgressTicker> ticker_;
  WaveCost wave_;
  double own_done_ = 0.0;
};

}  // namespace shardquant::waves
