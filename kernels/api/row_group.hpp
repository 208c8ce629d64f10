#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace shardquant::kernels {

/// Rows [first_row, first_row + rows) of the permuted matrix, quantized with one bit width.
struct RowGroup {
  std::int64_t first_row = 0;
  int rows = 0;
  int bits = 0;

  friend bool operator==(const RowGroup&, const RowGroup&) = default;
};

/// Rows [0, rows) in groups of `size`, the last one what is left, of no width: for grids that rows
/// have without regard to the sweep's groups.
std::vector<RowGroup> groups_of_no_width(std::int64_t rows, int size);

/// Indices of options, given by their groups, in the order in which neighbours share the longest
/// beginnings: depth first through the tree of their group lists.
std::vector<std::size_t> sharing_order(std::span<const std::vector<RowGroup>> options);

/// Rows of the groups that two options begin with alike.
std::int64_t shared_rows(std::span<const RowGroup> a, std::span<const RowGroup> b);

}  // namespace shardquant::kernels
