#include "pipeline/formats/weights/exl2/exl2_rules.hpp"

#include <fmt/format.h>

#include "pipeline/failure.hpp"
#include "pipeline/formats/weights/exl2/exl2_layer.hpp"

namespace shardquant::exl2 {

namespace {

constexpr std::int64_t kInt16Max = 32767;

bool is_storable_width(int bits) {
  return bits >= 2 && bits <= 8 && bits != 7;
}

}  // namespace

std::string exl2_group_fault(std::int64_t inputs, std::span<const kernels::RowGroup> groups) {
  if (inputs < 1 || inputs % 32 != 0)
    return fmt::format("R3: {} inputs are no multiple of 32", inputs);
  if (inputs > kExl2MaxInputs) {
    return fmt::format("{} inputs; the reader's row numbers end at {}", inputs, kExl2MaxInputs);
  }
  if (groups.empty()) return "no groups";
  if (std::ssize(groups) > kInt16Max)
    return fmt::format("R4: {} groups; int16 ends at 32767", groups.size());
  std::int64_t row = 0;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const kernels::RowGroup& group = groups[g];
    const bool last = g + 1 == groups.size();
    if (!is_storable_width(group.bits))
      return fmt::format("group {}: {} bits cannot be stored", g, group.bits);
    if (g > 0 && group.bits > groups[g - 1].bits) {
      return fmt::format("R1: group {} has {} bits after {}", g, group.bits, groups[g - 1].bits);
    }
    if (group.rows < 32 || group.rows % 32 != 0) {
      return fmt::format("R2: group {} has {} rows, no multiple of 32", g, group.rows);
    }
    if (group.rows > kInt16Max)
      return fmt::format("R4: group {} has {} rows; int16 ends at 32767", g, group.rows);
    if (group.first_row != row)
      return fmt::format("group {} begins at row {} instead of {}", g, group.first_row, row);
    const bool same_section = g > 0 && group.bits == groups[g - 1].bits;
    if (same_section && group.rows != groups[g - 1].rows &&
        !(last && group.rows < groups[g - 1].rows)) {
      return fmt::format("R5: group {} has {} rows in a section of {}", g, group.rows,
                         groups[g - 1].rows);
    }
    row += group.rows;
  }
  if (row != inputs) return fmt::format("the groups cover {} rows of {}", row, inputs);
  const std::int64_t packed = exl2_packed_rows(groups);
  if (packed > kInt16Max) return fmt::format("R4: {} packed rows; int16 ends at 32767", packed);
  return "";
}

void require_storable(const std::string& key, std::int64_t inputs,
                      std::span<const kernels::RowGroup> groups) {
  const std::string fault = exl2_group_fault(inputs, groups);
  if (!fault.empty()) fail(ExitCode::internal, "layer {}: {}", key, fault);
}

}  // namespace shardquant::exl2
