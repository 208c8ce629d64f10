#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/config/run_config.hpp"
#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/model_layout.hpp"
#include "pipeline/waves/work_cost.hpp"

namespace shardquant::waves {

// What sensitivities are taken of, from shapes and settings alone. All pure.

/// Linear layers of one block that are quantized together while all others stay as they are.
struct SensitivityUnit {
  std::string name;  ///< the layer's key, or the block's name and the number of the part
  std::int64_t block = 0;
  std::vector<std::int64_t> layers;  ///< at least one
};

/// In the order of the model, the head left out: every linear layer by itself, or all those of a
/// part of a block (sensitivity.per).
std::vector<SensitivityUnit> sensitivity_units(const model::ModelLayout& layout,
                                               const config::RunConfig::Sensitivity& settings);

/// The calibration rows that are taken, ascending: `count` of `rows`, or all where there are fewer.
/// Far apart, by a stride that two or three sources whose rows alternate have no part in.
std::vector<std::int64_t> sensitivity_rows(std::int64_t rows, std::int64_t count);

/// The tokens that are forwarded, of all pieces; each piece is a row of this length.
struct SensitivityTokens {
  std::int64_t rows = 0;
  std::int64_t length = 0;

  std::int64_t count() const { return rows * length; }
};
SensitivityTokens sensitivity_tokens(const config::RunConfig& config);

/// How many of these rows go through a block together: what makes about 2048 tokens.
std::int64_t sensitivity_batch_rows(const SensitivityTokens& tokens);

/// The measured option that a layer is tried with: the one of that text (sensitivity.option).
/// Without a name, or where that one does not exist for the layer, the existing one whose bits per
/// weight are nearest: to 3.13 (of EXL2 three bits in groups of 32 inputs), or to those of the one
/// named.
/// @throws Failure(config) where the format has no option of that name
std::int64_t trial_option(const weights::WeightFormat& format, const std::string& name,
                          const weights::LayerShape& layer);

/// What a unit takes: its own block once, or once more for each layer of several; the blocks after
/// it and the head.
WorkAmount sensitivity_work(const model::ModelLayout& layout, const SensitivityUnit& unit,
                            const SensitivityTokens& tokens);
/// Of the model as it is, which goes with them on every rank.
WorkAmount sensitivity_base_work(const model::ModelLayout& layout, const SensitivityTokens& tokens);

/// The rank of each unit that is not known, those dealt out by cost over all ranks; -1 of the
/// others. known: by unit, or empty for none.
std::vector<int> deal_sensitivity_units(const model::ModelLayout& layout,
                                        const config::RunConfig& config, int ranks,
                                        const std::vector<bool>& known = {});

/// Hidden states of changed models that a rank holds at a time; more go in further passes, which
/// read the weights again.
inline constexpr std::int64_t kCopyBytes = std::int64_t{1} << 30;

/// How many units a pass takes: what fits into kCopyBytes, one at least.
std::int64_t units_of_pass(const model::ModelDescription& description,
                           const SensitivityTokens& tokens);

/// Bytes one rank holds at its peak, beside program and libraries. units: of the rank.
std::int64_t sensitivity_bytes(const model::ModelDescription& description,
                               const model::ModelLayout& layout, const SensitivityTokens& tokens,
                               std::int64_t units);

}  // namespace shardquant::waves
