#include "pipeline/waves/sensitivity_units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "pipeline/comm/assign_work.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/model/run_block.hpp"
#include "pipeline/model/run_head.hpp"

namespace shardquant::waves {

namespace {

constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
constexpr double kTrialBits = 3.13;

// Of an option, whatever the layer: bits of codes and of the scales of a group.
double nominal_bits(const records::QParams& recipe) {
  const double codes =
      std::inner_product(recipe.bits.begin(), recipe.bits.end(), recipe.bits_prop.begin(), 0.0);
  return codes + static_cast<double>(recipe.scale_bits) / std::max(recipe.group_size, 1);
}

// Without the Hessians.
double forward_operations(const model::ModelLayout& layout, std::int64_t block,
                          const SensitivityTokens& tokens) {
  return block_work(layout, block, tokens.count(), tokens.length).forward;
}

double head_operations(const model::ModelLayout& layout, const SensitivityTokens& tokens) {
  return 2.0 * static_cast<double>(tokens.count()) *
         static_cast<double>(layout.head().parameters());
}

std::int64_t copy_bytes(const model::ModelDescription& description,
                        const SensitivityTokens& tokens) {
  return tokens.count() * description.hidden_size * kFloat;
}

}  // namespace

std::vector<SensitivityUnit> sensitivity_units(const model::ModelLayout& layout,
                                               const config::RunConfig::Sensitivity& settings) {
  const bool by_part = settings.per == "part";
  std::vector<SensitivityUnit> units;
  std::int64_t part = -1;  // of the last unit
  for (std::int64_t l = 0; l < layout.block_layers(); ++l) {
    const model::LinearLayer& layer = layout.linear_layers[static_cast<std::size_t>(l)];
    if (by_part && !units.empty() && units.back().block == layer.block && part == layer.part) {
      units.back().layers.push_back(l);
      continue;
    }
    part = layer.part;
    const std::string& block = layout.blocks[static_cast<std::size_t>(layer.block)].name;
    units.push_back(
        {by_part ? fmt::format("{}.part-{}", block, part) : layer.key, layer.block, {l}});
  }
  return units;
}

std::vector<std::int64_t> sensitivity_rows(std::int64_t rows, std::int64_t count) {
  count = std::min(rows, count);
  std::int64_t stride = count > 1 ? (rows - 1) / (count - 1) : 1;
  while (std::gcd(stride, std::int64_t{6}) != 1) --stride;
  const std::int64_t first = (rows - 1 - stride * (count - 1)) / 2;
  std::vector<std::int64_t> chosen;
  for (std::int64_t i = 0; i < count; ++i) chosen.push_back(first + i * stride);
  return chosen;
}

SensitivityTokens sensitivity_tokens(const config::RunConfig& config) {
  return {std::min(config.sensitivity.rows, config.calibration.rows),
          std::min(config.sensitivity.length, config.calibration.length)};
}

std::int64_t sensitivity_batch_rows(const SensitivityTokens& tokens) {
  constexpr std::int64_t kTokens = 2048;
  return std::clamp<std::int64_t>(kTokens / tokens.length, 1, tokens.rows);
}

std::int64_t trial_option(const weights::WeightFormat& format, const std::string& name,
                          const weights::LayerShape& layer) {
  double wanted_bits = kTrialBits;
  if (!name.empty()) {
    const auto named = weights::option_of_text(format, name);
    if (!named) {
      std::string names;
      for (std::int64_t o = 0; o < format.option_count(); ++o) {
        names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", format.option_text(o));
      }
      fail(ExitCode::config, "sensitivity.option: \"{}\" is none of {}", name, names);
    }
    if (format.recipe(*named, layer)) return *named;
    wanted_bits = nominal_bits(format.option_recipe(*named));
  }
  const std::vector<std::int64_t> options = weights::existing_options(format, layer);
  const auto distance = [&](std::int64_t option) {
    return std::abs(static_cast<double>(format.counted_bits(option, layer)) /
                        static_cast<double>(layer.parameters()) -
                    wanted_bits);
  };
  return *std::min_element(options.begin(), options.end(), [&](std::int64_t a, std::int64_t b) {
    return distance(a) < distance(b);
  });
}

WorkAmount sensitivity_work(const model::ModelLayout& layout, const SensitivityUnit& unit,
                            const SensitivityTokens& tokens) {
  const std::int64_t own = std::ssize(unit.layers) > 1 ? std::ssize(unit.layers) + 1 : 1;
  WorkAmount work;
  work.forward = static_cast<double>(own) * forward_operations(layout, unit.block, tokens) +
                 head_operations(layout, tokens);
  for (std::int64_t b = unit.block + 1; b < std::ssize(layout.blocks); ++b) {
    work.forward += forward_operations(layout, b, tokens);
  }
  return work;
}

WorkAmount sensitivity_base_work(const model::ModelLayout& layout,
                                 const SensitivityTokens& tokens) {
  WorkAmount work;
  work.forward = head_operations(layout, tokens);
  for (std::int64_t b = 0; b < std::ssize(layout.blocks); ++b) {
    work.forward += forward_operations(layout, b, tokens);
  }
  return work;
}

std::vector<int> deal_sensitivity_units(const model::ModelLayout& layout,
                                        const config::RunConfig& config, int ranks,
                                        const std::vector<bool>& known) {
  const auto units = sensitivity_units(layout, config.sensitivity);
  const SensitivityTokens tokens = sensitivity_tokens(config);
  std::vector<std::size_t> missing;
  std::vector<double> costs;
  for (std::size_t u = 0; u < units.size(); ++u) {
    if (!known.empty() && known[u]) continue;
    missing.push_back(u);
    costs.push_back(operations_of(sensitivity_work(layout, units[u], tokens)));
  }
  std::vector<double> load(static_cast<std::size_t>(ranks));
  const std::vector<int> owners = comm::assign_work(costs, load);
  std::vector<int> by_unit(units.size(), -1);
  for (std::size_t i = 0; i < missing.size(); ++i) by_unit[missing[i]] = owners[i];
  return by_unit;
}

std::int64_t units_of_pass(const model::ModelDescription& description,
                           const SensitivityTokens& tokens) {
  return std::max<std::int64_t>(kCopyBytes / copy_bytes(description, tokens), 1);
}

std::int64_t sensitivity_bytes(const model::ModelDescription& description,
                               const model::ModelLayout& layout, const SensitivityTokens& tokens,
                               std::int64_t units) {
  // The model's own before and after a block, one in the making, two on the host to compare.
  constexpr std::int64_t kBaseStates = 5;
  const std::int64_t hidden = (std::min(units, units_of_pass(description, tokens)) + kBaseStates) *
                              copy_bytes(description, tokens);
  std::int64_t largest = 0;
  for (std::int64_t l = 0; l < layout.block_layers(); ++l) {
    largest = std::max(largest, layout.linear_layers[static_cast<std::size_t>(l)].parameters());
  }
  // The replaced weight, beside it what it is loaded from: halves in the order of the file.
  const std::int64_t block =
      layout.block_weight_bytes() + 3 * largest * kFloat +
      model::run_block_workspace_bytes(layout, sensitivity_batch_rows(tokens) * tokens.length,
                                       tokens.length);
  const std::int64_t chunk = std::min(model::head_chunk_tokens(description), tokens.count());
  const std::int64_t head =
      2 * description.vocab_size * description.hidden_size * kFloat +
      chunk * (description.hidden_size * kFloat +
               description.vocab_size * (3 * kFloat + static_cast<std::int64_t>(sizeof(double))));
  return hidden + std::max(block, head);
}

}  // namespace shardquant::waves
