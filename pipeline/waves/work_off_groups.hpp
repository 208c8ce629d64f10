#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/waves/calibrate.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::waves {

/// Work that is done group by group, each with its Hessian.
struct GroupWork {
  std::string stage;         ///< for the log
  std::vector<bool> wanted;  ///< by Hessian group
  std::vector<bool> kept;  ///< by group: its Hessian is in the work folder; from find_kept_hessians
  std::vector<bool> store;  ///< by group: its Hessian is to be put there where it is not
  bool sketches = false;    ///< the work needs them
  bool perplexity = false;  ///< of the model on calibration rows
  std::function<GroupUnits(const model::HessianGroup&)> units;  ///< what it is made of
  double later_cost = 0.0;  ///< operations of the stages that follow; for the time left of the job
  GroupConsumer work;       ///< on the ranks that have a part of the group
};

/// Works all wanted groups off: first those whose Hessians are kept, dealt out over all ranks since
/// nothing ties one to another, then the rest wave by wave as a forward pass yields their Hessians.
/// Shows progress on root. Returns the perplexity where asked for. Collective.
/// @throws as calibrate
std::optional<double> work_off_groups(const RunContext& context, const GroupWork& work);

}  // namespace shardquant::waves
