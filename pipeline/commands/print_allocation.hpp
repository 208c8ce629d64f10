#pragma once

#include <string>

#include "pipeline/allocation/allocation_input.hpp"
#include "pipeline/records/plan_file.hpp"

namespace shardquant::commands {

/// The totals of a plan, one figure a line.
std::string plan_summary(const records::Plan& plan);

/// The plan as a heat map, a row per part of a block and a column per block, lighter for fewer bits
/// per weight; with the mean of every row, and how often every option was taken. Bits instead of
/// bits per weight do where the input does not tell the number of weights.
std::string plan_heat_map(const allocation::AllocationInput& input, const records::Plan& plan);

}  // namespace shardquant::commands
