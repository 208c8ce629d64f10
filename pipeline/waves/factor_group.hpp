#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/api/backend.hpp"
#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/waves/packed_hessian.hpp"

namespace shardquant::waves {

/// Factors a group's Hessian; the permutation applies to all its layers. Where fp32 fails with all
/// dampings, fp64 is tried, then the identity taken, which makes the group's layers rounded to
/// nearest. A pure function of Hessian and settings, so that measuring
/// and quantizing take the same step.
/// @throws Failure(bad_data) naming the group, where the Hessian holds NaN or infinity
kernels::HessianFactor factor_group(kernels::Backend& backend, const model::SourceModel& model,
                                    std::int64_t group, const PackedHessian& hessian,
                                    kernels::QuantizerSettings settings);

/// Throws Failure(bad_data) naming the group and the remedy, where a group of this method has more
/// layers rounded to nearest than `max_rtn_layers` allows.
void require_rtn_allowed(const model::SourceModel& model, std::int64_t group,
                         kernels::FactorMethod method, std::int64_t max_rtn_layers);

/// "fp32", "fp64", "round_to_nearest".
std::string_view factor_method_name(kernels::FactorMethod method);

/// Settings for the group, with what the format's readers demand of the order of its inputs.
kernels::QuantizerSettings settings_for_group(const model::SourceModel& model, std::int64_t group,
                                              const weights::WeightFormat& format,
                                              kernels::QuantizerSettings settings);

}  // namespace shardquant::waves
