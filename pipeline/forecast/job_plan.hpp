#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/config/machine_profile.hpp"
#include "pipeline/config/run_config.hpp"
#include "pipeline/forecast/memory_plan.hpp"
#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/model_layout.hpp"
#include "pipeline/waves/work_cost.hpp"

namespace shardquant::forecast {

/// What a job is planned from: shapes and settings alone, no weights.
struct JobPlanInput {
  const model::ModelDescription& description;
  const model::ModelLayout& layout;
  const config::RunConfig& config;
  const config::MachineProfile& profile;
  const weights::WeightFormat& format;  ///< whose options are measured
  std::int64_t weight_bytes = 2;        ///< of one weight as the model folder stores it
  bool keep_hessians = true;
};

/// A layer, or a part of its options, and the rank that works it off.
struct PlannedItem {
  std::int64_t layer = 0;
  std::vector<std::int64_t> options;  ///< as waves::MeasuredLayer::options
  int rank = 0;
  double cost = 0.0;     ///< in operations, as the run's own records have it
  double seconds = 0.0;  ///< of computing
};

/// One stage on all ranks. A stage that goes in steps (waves, blocks), between which the ranks wait
/// for each other, takes the sum of what each step's slowest rank takes.
struct StagePlan {
  std::string name;
  std::vector<double> busy_s;   ///< by rank: computing
  double repeated_s = 0.0;      ///< of all ranks: what is done more than once, since groups are cut
  double compute_s = 0.0;       ///< the slowest ranks' computing, step by step
  double moving_s = 0.0;        ///< reading, writing and network, on the rank that has most of each
  std::int64_t read_bytes = 0;  ///< of all ranks, as are those that follow
  std::int64_t write_bytes = 0;
  std::int64_t network_bytes = 0;

  double seconds() const { return compute_s + moving_s; }
  /// Mean of the ranks' computing over what it takes: 1 where nobody waits for another.
  double balance() const;
};

/// What a job of `ranks` ranks that begins anew will do.
struct JobPlan {
  int ranks = 0;
  /// calibrate, measure, sensitivity where wanted, quantize, write, evaluate where wanted
  std::vector<StagePlan> stages;
  std::vector<PlannedItem> measured, quantized;
  MemoryPlan memory;
  std::int64_t host_bytes = 0;    ///< of a rank
  std::int64_t device_bytes = 0;  ///< of a rank; 0 where it computes in host memory
  std::int64_t host_limit = 0;    ///< a rank's share of a node
  std::int64_t device_limit = 0;
  std::int64_t work_folder_bytes = 0;
  std::int64_t output_bytes = 0;
  std::vector<std::string> complaints;  ///< what cannot fit, with the setting that makes it fit
  std::vector<std::string> remarks;     ///< what would go better, and how

  double seconds() const;
  int nodes(const config::MachineProfile& profile) const;
};

}  // namespace shardquant::forecast
