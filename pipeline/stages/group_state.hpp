#pragma once

#include <string>
#include <vector>

#include "pipeline/stages/measure_group.hpp"
#include "pipeline/stages/run_context.hpp"

namespace shardquant::stages {

// State files of Hessian groups and of measured layers in the work folder, each written once and
// whole.

/// The group's Hessian, and its sketches where there are any. @throws Failure(io_error)
void save_hessian(const RunContext& context, std::int64_t group, const CalibratedGroup& calibrated);
/// @throws Failure(bad_data) where the file is damaged or of another run
CalibratedGroup load_hessian(const RunContext& context, std::int64_t group);

void save_measurement(const RunContext& context, const MeasuredLayer& record);
MeasuredLayer load_measurement(const RunContext& context, std::int64_t layer);

/// By group: whether a whole and undamaged Hessian of this run is there. Every rank checks its
/// share and all get the whole answer; a damaged file is renamed, never deleted. Collective.
std::vector<bool> find_kept_hessians(const RunContext& context);
/// The same, by layer, of measurements.
std::vector<bool> find_measured_layers(const RunContext& context);

}  // namespace shardquant::stages
