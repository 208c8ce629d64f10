#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/api/quantizer_types.hpp"

/// What all back ends do alike with a Hessian, whatever memory it lies in: order and damping as
/// ExLlamaV2 2f72437 has them (rows by descending diagonal; max(damping * mean(diagonal), floor)
/// added to it), and what happens when it does not factor.
namespace shardquant::kernels {

/// The factor's method, order of inputs, diagonal and number of dead inputs, without the factor
/// itself.
/// diagonal: [K] as accumulated
HessianFactor order_inputs(std::span<const float> diagonal, const QuantizerSettings& settings);

/// diag(H) + damp in the factor's order: [K].
std::vector<float> damped_diagonal(const HessianFactor& factor);

/// The smallest damping: a part of the diagonal's mean, but no less than the floor.
double damping_step(std::span<const float> diagonal, const QuantizerSettings& settings);

/// Calls `try_damping` with the value to add to the diagonal, twice the last one each time, until
/// it returns true; in fp64 once, with the largest value. Sets damp and tries of `factor`.
/// @throws NotPositiveDefinite
void damp_until_factored(double step, const QuantizerSettings& settings, HessianFactor& factor,
                         const std::function<bool(double damp)>& try_damping);

/// The vector of signs by which a factor is probed: [n] of 1 and -1, always the same ones.
std::vector<double> probe_signs(std::int64_t n);

/// Whether `got` = L L^T x is near `want` = (H + damp I) x: Cholesky routines report only bad
/// pivots, and may pass a NaN or a factor that rounding has spoilt.
bool products_agree(std::span<const double> want, std::span<const double> got);

/// @throws NumericalError always; `first`: flat index in [n, n] of the first of `count` bad values
[[noreturn]] void refuse_nonfinite_hessian(std::int64_t count, std::int64_t first, std::int64_t n);

}  // namespace shardquant::kernels
