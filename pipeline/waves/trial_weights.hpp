#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/backend.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::waves {

// Weights of linear layers as they are tried for their sensitivity: quantized with one middling
// option when the layer is measured, kept in the work folder, a state file each, until the
// sensitivities are known. Only this file knows in what form.

/// Keeps what a reader of the quantized layer decodes. matrix: in the order of the factor's rows,
/// which `perm` leads back from. @throws Failure(io_error)
void save_trial_weight(const Job& job, std::int64_t layer, const kernels::QuantizedMatrix& matrix,
                       std::span<const std::int32_t> perm);

/// That weight, in the form that Backend::linear wants. @throws Failure(bad_data) where the file is
/// damaged or of another run
kernels::Matrix load_trial_weight(const Job& job, kernels::Backend& backend, std::int64_t layer);

/// By linear layer, of those that `wanted` flags: whether the file is missing. A damaged one is
/// renamed. Collective.
std::vector<bool> missing_trial_weights(const RunContext& context, const std::vector<bool>& wanted);

/// Removes this rank's share of all such files. What cannot be removed stays.
void remove_trial_weights(const RunContext& context);

/// Bytes of such a file, its header apart.
std::int64_t trial_weight_bytes(const model::LinearLayer& layer);

}  // namespace shardquant::waves
