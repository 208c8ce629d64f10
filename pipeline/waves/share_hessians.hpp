#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pipeline/comm/communicator.hpp"
#include "pipeline/waves/measure_group.hpp"
#include "pipeline/waves/plan_waves.hpp"

namespace shardquant::waves {

/// Ranks other than the owner that have a part of the wave's group number `index` (of
/// Wave::groups), ascending. Pure.
std::vector<int> helpers_of(const Wave& wave, std::size_t index);

/// Sends a group's Hessian and sketches from its owner to the helpers, in pieces of about 16 MiB.
/// inputs: K; sketches: floats of them, 0 for none. calibrated: read on the owner, filled on
/// helpers; other ranks have no part in it. Groups are to be shared in the same order on all ranks:
/// then no two wait for each other.
void share_hessian(comm::Communicator& comm, int owner, std::span<const int> helpers,
                   std::int64_t inputs, std::int64_t sketches, CalibratedGroup& calibrated);

}  // namespace shardquant::waves
