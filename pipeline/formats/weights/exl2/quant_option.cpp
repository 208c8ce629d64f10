#include "pipeline/formats/weights/exl2/quant_option.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "pipeline/records/python_number.hpp"

namespace shardquant::exl2 {

std::span<const QuantOption> exl2_2023_options() {
  static const std::array<QuantOption, 24> kOptions = {{
      {32, {3, 2}, {0.05, 0.95}}, {32, {3, 2}, {0.25, 0.75}},
      {32, {4, 2}, {0.25, 0.75}}, {32, {4, 3, 2}, {0.1, 0.4, 0.5}},
      {32, {4, 3}, {0.1, 0.9}},   {32, {6, 3}, {0.2, 0.8}},
      {128, {3}, {1.0}},          {32, {3}, {1.0}},
      {32, {4, 3}, {0.05, 0.95}}, {32, {4, 3}, {0.4, 0.6}},
      {64, {4, 3}, {0.6, 0.4}},   {128, {4}, {1.0}},
      {32, {4}, {1.0}},           {32, {5, 4}, {0.1, 0.9}},
      {32, {6, 4}, {0.1, 0.9}},   {128, {5}, {1.0}},
      {32, {6, 5}, {0.1, 0.9}},   {32, {8, 6, 5}, {0.05, 0.05, 0.9}},
      {32, {6, 5}, {0.4, 0.6}},   {32, {8, 6, 5}, {0.1, 0.3, 0.6}},
      {128, {6}, {1.0}},          {32, {6}, {1.0}},
      {128, {8, 6}, {0.1, 0.9}},  {32, {8}, {1.0}},
  }};
  return kOptions;
}

std::span<const HeadRecipe> head_recipes() {
  static const std::array<HeadRecipe, 6> kRecipes = {{
      {2, {32, {4, 2}, {0.3, 0.7}}},
      {3, {32, {4, 3}, {0.15, 0.85}}},
      {4, {32, {6, 4}, {0.15, 0.85}}},
      {5, {32, {6, 5}, {0.15, 0.85}}},
      {6, {32, {8, 6}, {0.15, 0.85}}},
      {8, {32, {8}, {1.0}}},
  }};
  return kRecipes;
}

std::string describe(const QuantOption& option) {
  std::string text;
  for (std::size_t i = 0; i < option.bits.size(); ++i) {
    if (i > 0) text += '/';
    text +=
        records::python_number(option.proportions[i]) + ':' + std::to_string(option.bits[i]) + 'b';
  }
  return text + ' ' + std::to_string(option.group_size) + "g s" + std::to_string(option.scale_bits);
}

std::vector<kernels::RowGroup> cut_into_groups(const QuantOption& option, std::int64_t rows) {
  const std::int64_t group_size = option.group_size;
  const std::int64_t total = (rows + group_size - 1) / group_size;
  const auto blocks_of_128 = static_cast<double>((rows + 127) / 128);

  std::vector<std::int64_t> counts;
  std::int64_t assigned = 0;
  for (const double proportion : option.proportions) {
    // std::nearbyint rounds half to even in the default rounding mode, as Python's round does.
    const auto blocks = static_cast<std::int64_t>(std::nearbyint(blocks_of_128 * proportion));
    counts.push_back(std::max<std::int64_t>(blocks, 1) * 128 / group_size);
    assigned += counts.back();
  }
  counts.back() += total - assigned;
  if (counts.back() < 0) return {};

  std::vector<kernels::RowGroup> groups;
  groups.reserve(static_cast<std::size_t>(total));
  std::int64_t row = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    for (std::int64_t n = 0; n < counts[i]; ++n) {
      const std::int64_t size = std::min(group_size, rows - row);
      groups.push_back({row, static_cast<int>(size), option.bits[i]});
      row += size;
    }
  }
  return groups;
}

std::vector<kernels::RowGroup> cut_head_into_groups(const QuantOption& option, std::int64_t rows) {
  std::vector<kernels::RowGroup> groups = cut_into_groups(option, rows);
  if (!groups.empty()) return groups;
  std::int64_t row = 0;
  for (std::size_t i = 0; i < option.bits.size(); ++i) {
    const double share = static_cast<double>(rows) * option.proportions[i];
    const double wanted = std::min(share, static_cast<double>(rows - row));
    const auto count = static_cast<std::int64_t>(std::ceil(wanted / option.group_size));
    for (std::int64_t n = 0; n < count; ++n) {
      const std::int64_t size = std::min<std::int64_t>(option.group_size, rows - row);
      groups.push_back({row, static_cast<int>(size), option.bits[i]});
      row += size;
    }
  }
  return groups;
}

std::int64_t measured_bits(std::span<const kernels::RowGroup> groups, std::int64_t cols) {
  std::int64_t bits = 0;
  for (const kernels::RowGroup& group : groups) {
    bits += cols * group.rows * group.bits + 16 + 32 + 4 * cols;
  }
  return bits;
}

std::int64_t stored_bits(std::span<const kernels::RowGroup> groups, std::int64_t cols) {
  const std::int64_t rows = groups.empty() ? 0 : groups.back().first_row + groups.back().rows;
  return measured_bits(groups, cols) + 32 * rows;
}

}  // namespace shardquant::exl2
