#pragma once

#include "pipeline/stages/allocate_bits.hpp"
#include "pipeline/stages/balance.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::stages {

/// Quantizes every layer as planned and writes the output folder, the work dealt out over the ranks
/// by cost; from the Hessians in the work folder, those that are not there from a second forward
/// pass. Layers that an interrupted run of the same plan left complete in the partial shards are
/// kept; a finished output is left as it is. hessians_kept: the measure stage left all of them.
/// Returns how the work fell to the ranks, on root. Collective.
/// @throws SharedFailure(try_again) when the run stops
Balance quantize_model(const waves::RunContext& context, const output::AllocatedModel& allocated,
                       bool hessians_kept);

}  // namespace shardquant::stages
