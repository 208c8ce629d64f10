#include "pipeline/formats/weights/weight_format.hpp"

#include <algorithm>

#include "pipeline/failure.hpp"

namespace shardquant::weights {

std::vector<std::vector<std::int64_t>> WeightFormat::ties(
    std::span<const std::vector<std::int64_t>>) const {
  return {};
}

bool WeightFormat::keeps_input_order(const LayerShape&) const {
  return false;
}

std::optional<std::int64_t> head_option(const WeightFormat& format, std::int64_t bits) {
  if (bits == kPlainHeadBits) return std::nullopt;
  std::string there;
  for (const HeadOption& head : format.head_options()) {
    if (head.bits == bits) return head.option;
    there += fmt::format("{}, ", head.bits);
  }
  fail(ExitCode::config, "head bits: {} is none of {}{}", bits, there, kPlainHeadBits);
}

std::optional<std::int64_t> option_of_text(const WeightFormat& format, std::string_view text) {
  for (std::int64_t option = 0; option < format.option_count(); ++option) {
    if (format.option_text(option) == text) return option;
  }
  return std::nullopt;
}

std::vector<std::int64_t> existing_options(const WeightFormat& format, const LayerShape& layer) {
  std::vector<std::int64_t> options;
  for (std::int64_t option = 0; option < format.option_count(); ++option) {
    if (format.recipe(option, layer)) options.push_back(option);
  }
  return options;
}

}  // namespace shardquant::weights
