#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/api/row_group.hpp"

namespace shardquant::exl2 {

/// One way to spend bits on a linear layer: the recipe by which its K rows (inputs, most active
/// first) are cut into groups of one bit width each.
struct QuantOption {
  int group_size = 0;               ///< rows that share a scale: 32, 64 or 128
  std::vector<int> bits;            ///< bit widths, widest first; each of 2 3 4 5 6 8
  std::vector<double> proportions;  ///< share of the rows at each width, summing to 1
  int scale_bits = 4;               ///< bits of a scale code

  friend bool operator==(const QuantOption&, const QuantOption&) = default;
};

/// THE table: the 24 options of ExLlamaV2 of September 2023, in the order of its files.
std::span<const QuantOption> exl2_2023_options();

/// A recipe of the output head and the bits it is asked for by.
struct HeadRecipe {
  int bits = 0;
  QuantOption option;
};

/// The recipes of ExLlamaV2 for the output head, by bits ascending.
std::span<const HeadRecipe> head_recipes();

/// "0.05:3b/0.95:2b 32g s4", as ExLlamaV2 writes it (Python's repr of the proportions).
std::string describe(const QuantOption& option);

/// The groups an option cuts `rows` rows into; empty where the option does not exist for that
/// count (its last section would get a negative number of groups).
/// @pre rows is a positive multiple of 32
/// Source: bits_groups of ExLlamaV2 2f72437 (round half to even, integer division).
std::vector<kernels::RowGroup> cut_into_groups(const QuantOption& option, std::int64_t rows);

/// The groups of the output head: cut_into_groups, and where that does not exist (few rows)
/// ExLlamaV2's later rule, which always does: each section gets ceil(min(rows * proportion, rows
/// left) / group_size) groups, the last group what is left.
/// @pre rows is a positive multiple of 32
std::vector<kernels::RowGroup> cut_head_into_groups(const QuantOption& option, std::int64_t rows);

/// Bits of a [rows, cols] layer as the 2023 measurement file counts them: weights, per group 16
/// (scale_max) + 32 (q_groups), 4-bit scale codes; without the 32 * rows of q_invperm.
std::int64_t measured_bits(std::span<const kernels::RowGroup> groups, std::int64_t cols);

/// Bits of a [rows, cols] layer on disk: measured_bits + 32 * rows, those of q_invperm.
/// @pre cols is a multiple of 32, as outputs are padded to
std::int64_t stored_bits(std::span<const kernels::RowGroup> groups, std::int64_t cols);

}  // namespace shardquant::exl2
