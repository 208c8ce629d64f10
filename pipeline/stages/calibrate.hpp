#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "kernels/api/backend.hpp"
#include "pipeline/comm/communicator.hpp"
#include "pipeline/formats/token_stream.hpp"
#include "pipeline/stages/measure_group.hpp"
#include "pipeline/stages/plan_waves.hpp"
#include "pipeline/stages/sum_over_slices.hpp"

namespace shardquant::stages {

/// What the forward pass over the calibration rows is to yield.
struct CalibrationRequest {
  std::vector<bool> wanted;  ///< by Hessian group
  bool sketches = false;     ///< for err_norm row_mean
  bool perplexity = false;   ///< of the model on the calibration rows
  std::function<double(const model::HessianGroup&)> cost;  ///< of working a group off
};

/// Called on the owner of a group when its Hessian is complete; returns when it is worked off.
using GroupConsumer = std::function<void(const model::HessianGroup&, const CalibratedGroup&)>;
/// Called on every rank as the pass goes on, with the share of the forward pass done, 0..1.
using CalibrationProgress = std::function<void(double)>;

/// Forwards the calibration rows through the model, block by block, weights streamed, and hands every
/// wanted group's Hessian to its owner's consumer, wave by wave (plan_waves). Collective. Hidden states
/// stay with the rank that owns their slice.
/// Returns the perplexity on all ranks where asked for.
/// @throws Failure(bad_data) naming tensor or block where a value is NaN or infinite
std::optional<double> calibrate(comm::Communicator& comm, kernels::Backend& backend,
                                const SourceModel& model, const formats::TokenStream& tokens,
                                const Slices& slices, const CalibrationRequest& request,
                                const GroupConsumer& consume, const CalibrationProgress& progress);

}  // namespace shardquant::stages
