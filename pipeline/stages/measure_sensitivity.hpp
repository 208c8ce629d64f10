#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/records/measurement_file.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::stages {

/// Refuses an option that the table does not have, before any work is done; says in the log what is
/// minimized where sensitivities are not measured though the objective would need them. Collective.
/// @throws Failure(config)
void check_sensitivity(const waves::RunContext& context);

/// By linear layer: the option at which the measure stage is to quantize it for
/// measure_sensitivity, -1 where that is not needed: nothing wants sensitivities, or this one is
/// known, or the weight is there. Collective.
std::vector<std::int64_t> wanted_trials(const waves::RunContext& context);

/// Finds what every linear layer's error does to the predictions. kl of a layer: KL(model || model
/// with this layer alone at the trial option), mean over the tokens of sensitivity_rows, natural
/// logarithm; where all layers of a part are replaced at once, its share of theirs. sensitivity:
/// max(kl, 1e-7) / err^2, err being that option's: the sum of sensitivity x err^2 over the layers
/// predicts the KL of a plan. Layers are dealt out over the ranks by cost; what was found earlier,
/// or by the job that the measurement is borrowed from, is used again. measurement: on root; gets
/// the figures, and is written to the work folder anew. Does nothing where nothing wants them.
/// later_cost: operations of the stages that follow. Collective.
/// @throws Failure as PerturbedForward; no_input where they are borrowed and not complete;
/// SharedFailure(try_again) when the run stops
void measure_sensitivity(const waves::RunContext& context, double later_cost,
                         records::Measurement& measurement);

/// Operations of that, of all ranks.
double sensitivity_cost(const waves::RunContext& context);

}  // namespace shardquant::stages
