#pragma once

#include "kernels/api/quantizer_types.hpp"

namespace shardquant::waves {

/// Relative error of a layer's output over all calibration rows, in closed form:
/// sqrt(tr(E^T H E) / tr(W^T H W)), E = W - dequantized. From 0 to 1: an output that is lost
/// altogether counts as 1, the most that a measurement file takes. 0 where without the damping
/// nothing but rounding is left of the norm (inputs that are always zero, or weights that only meet
/// such): there is no output to lose.
double pooled_error(const kernels::OptionError& error, const kernels::WeightNorms& norms,
                    double damp);

/// The mean over calibration rows of ||X_r E|| / ||X_r W||, from sketches, each ratio from 0 to 1.
/// @pre both were given sketches of the same rows
double row_mean_error(const kernels::OptionError& error, const kernels::WeightNorms& norms);

}  // namespace shardquant::waves
