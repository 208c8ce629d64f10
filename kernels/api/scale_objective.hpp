#pragma once

namespace shardquant::kernels {

/// What a search for scales minimises over the weights of a group, e = value - w.
enum class ScaleObjective {
  power_3_5,  ///< sum |e|^3.5, as ExLlamaV2
  squared,    ///< sum e^2
  weighted,   ///< sum h_k e_k^2, h the diagonal of the damped Hessian
  /// What the sweep would lose in the group if it were alone: the sum of (v_k - value_k)^2 R_kk^2
  /// with v_k = w_k + sum over the group's rows r < k of A[r, k] (w_r - value_r), H = R R^T,
  /// A = R diag(R)^-1, rows in the sweep's order, in runs of kMostSimulatedRows.
  simulated,
};

inline constexpr int kMostSimulatedRows = 128;

/// What one weight adds to an objective. miss: w - value; weight: h_k, or R_kk^2 where the miss is
/// that of v. Math::power_3_5(x): |x|^3.5.
template <class Math, ScaleObjective kObjective>
constexpr typename Math::Number objective_term(typename Math::Number miss, float weight) {
  if constexpr (kObjective == ScaleObjective::power_3_5) return Math::power_3_5(miss);
  if constexpr (kObjective == ScaleObjective::squared) return miss * miss;
  return weight * (miss * miss);
}

/// The objective over one column of a grid. Rows: count(); given(r), the number that row r is
/// rounded from, asked for in order; took(r, value), what it became; weight(r).
template <class Math, ScaleObjective kObjective, class Column, class Rows>
constexpr typename Math::Number column_cost(const Column& column, Rows& rows) {
  typename Math::Number sum{};
  const int count = rows.count();
  for (int r = 0; r < count; ++r) {
    const typename Math::Number v = rows.given(r);
    const typename Math::Number value = column.value(column.code(v));
    rows.took(r, value);
    sum += objective_term<Math, kObjective>(v - value, rows.weight(r));
  }
  return sum;
}

/// Calls `run` with the objective as a type: its operator() is a template on ScaleObjective.
template <class Run>
void with_objective(ScaleObjective objective, const Run& run) {
  switch (objective) {
    case ScaleObjective::power_3_5:
      return run.template operator()<ScaleObjective::power_3_5>();
    case ScaleObjective::squared:
      return run.template operator()<ScaleObjective::squared>();
    case ScaleObjective::weighted:
      return run.template operator()<ScaleObjective::weighted>();
    case ScaleObjective::simulated:
      return run.template operator()<ScaleObjective::simulated>();
  }
}

}  // namespace shardquant::kernels
