#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/api/matrix.hpp"
#include "pipeline/waves/run_context.hpp"
#include "pipeline/waves/sensitivity_units.hpp"

namespace shardquant::waves {

// State files of the sensitivities, by layer or part, never by rank. They carry the run's
// fingerprint and the section of the settings.

/// What was found of a unit.
struct UnitSensitivity {
  std::int64_t unit = 0;   ///< index
  std::vector<double> kl;  ///< by its layers, see measure_sensitivity
};

/// Hidden states of a changed model, or of the model itself, before a block.
struct CopyState {
  std::int64_t block = 0;
  kernels::Matrix hidden;       ///< [tokens, hidden_size]
  std::vector<double> effects;  ///< by layer of the unit, see PerturbedForward; empty for the model
};

void save_sensitivity(const Job& job, const SensitivityUnit& unit, std::span<const double> kl);
/// By layer of the unit; from the borrowed folder where there is one.
/// @throws Failure(bad_data) where the file is damaged
std::vector<double> load_sensitivity(const Job& job, const SensitivityUnit& unit);
/// By unit: whether its record is there, whole and undamaged. Collective.
std::vector<bool> find_sensitivities(const RunContext& context,
                                     std::span<const SensitivityUnit> units);

/// name: of the unit; a name of its own, with the block in it, stands for the model as it is.
void save_copy(const Job& job, kernels::Backend& backend, const std::string& name,
               const CopyState& state);
/// That state, where a whole and undamaged file of it is there. tokens: rows of the states.
std::optional<CopyState> load_copy(const Job& job, kernels::Backend& backend,
                                   const std::string& name, std::int64_t tokens);
void remove_copy(const Job& job, const std::string& name);

/// The name under which the model's own state before a block is kept.
std::string base_name(std::int64_t block);

}  // namespace shardquant::waves
