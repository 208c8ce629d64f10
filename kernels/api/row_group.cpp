#include "kernels/api/row_group.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>

namespace shardquant::kernels {

std::vector<RowGroup> groups_of_no_width(std::int64_t rows, int size) {
  std::vector<RowGroup> groups;
  for (std::int64_t row = 0; row < rows; row += size) {
    groups.push_back({row, static_cast<int>(std::min<std::int64_t>(size, rows - row)), 0});
  }
  return groups;
}

std::vector<std::size_t> sharing_order(std::span<const std::vector<RowGroup>> options) {
  const auto comes_before = [](const RowGroup& a, const RowGroup& b) {
    return a.rows != b.rows ? a.rows < b.rows : a.bits < b.bits;
  };
  std::vector<std::size_t> order(options.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::lexicographical_compare(options[a].begin(), options[a].end(), options[b].begin(),
                                        options[b].end(), comes_before);
  });
  return order;
}

std::int64_t shared_rows(std::span<const RowGroup> a, std::span<const RowGroup> b) {
  const auto [end, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return end == a.begin() ? 0 : std::prev(end)->first_row + std::prev(end)->rows;
}

}  // namespace shardquant::kernels
