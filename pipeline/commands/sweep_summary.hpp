#pragma once

#include <vector>

#include "pipeline/config/sweep.hpp"
#include "pipeline/report/sweep_table.hpp"

namespace shardquant::commands {

/// What is known of every point, from the reports in their work folders. A point is done when its
/// output is there and was made with the settings that the job file has now.
std::vector<report::SweepRow> describe_sweep(const config::Sweep& sweep);

/// Writes sweep.json, sweep.csv and sweep.txt into the sweep's output folder. Jobs of one sweep may
/// do so at the same time: the last to write has seen all that the others had finished.
/// @throws Failure: cannot_create, no_permission, io_error
std::vector<report::SweepRow> write_sweep_summary(const config::Sweep& sweep);

/// Puts all points that were evaluated into the report of one of them, and their sizes into the
/// card of its output, so that both show the sweep. To be called by the job that wrote that report,
/// or when none is running.
void put_points_into_report(const config::SweepPoint& point,
                            const std::vector<report::SweepRow>& rows);

}  // namespace shardquant::commands
