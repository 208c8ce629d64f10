#pragma once

#include <string>
#include <vector>

#include "pipeline/stages/measure_group.hpp"
#include "pipeline/stages/run_context.hpp"

namespace shardquant::stages {

// State files of one Hessian group in the work folder, each written once and whole.

/// The group's Hessian, and its sketches where there are any. @throws Failure(io_error)
void save_hessian(const RunContext& context, std::int64_t group, const CalibratedGroup& calibrated);
/// @throws Failure(bad_data) where the file is damaged or of another run
CalibratedGroup load_hessian(const RunContext& context, std::int64_t group);

void save_measurement(const RunContext& context, const GroupMeasurement& record);
GroupMeasurement load_measurement(const RunContext& context, std::int64_t group);

/// What a state file of a group is.
enum class GroupFile { hessian, measurement };

/// By group: whether a whole and undamaged file of this run is there. Every rank checks its share
/// and all get the whole answer; a damaged file is renamed, never deleted. Collective.
std::vector<bool> find_complete(const RunContext& context, GroupFile file);

}  // namespace shardquant::stages
