#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

namespace shardquant::solver {

/// An option as the 2023 rule sees it.
struct RuleOption {
  double bpw = 0.0;
  std::int64_t bits = 0;  ///< int(total_bits): truncated, as the rule counts
  double error = 0.0;
};

/// What the rule is given.
struct RuleProblem {
  std::vector<std::vector<RuleOption>> layers;
  std::int64_t numel = 0;  ///< weights of all layers
  double target_bpw = 0.0;
};

/// What the rule chose; it proves nothing and may exceed the target.
struct RuleResult {
  std::vector<int> first_stage;  ///< best_option_max of the 2023 file
  std::vector<int> choices;      ///< best_option
  std::int64_t total_bits = 0;   ///< of `choices`
};

/// The rule finds no error bound that meets the target, or the problem has no layer.
struct RuleFailure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The allocation rule of ExLlamaV2 of September 2023, two bisections of an error bound. First: the
/// least bound such that the lightest options with an error of at most the bound meet the target;
/// second: the least bound such that the target is still met when every layer that can takes the
/// option of least error >= the bound. The last probe counts, whether it met the target or not.
/// Source: conversion/optimize.py of ExLlamaV2 a4f2663.
/// @throws RuleFailure
RuleResult apply_two_stage_rule(const RuleProblem& problem);

}  // namespace shardquant::solver
