#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kernels/api/row_group.hpp"

namespace shardquant::exl2 {

/// Inputs of the widest layer whose row numbers the reader's 16 bits hold.
inline constexpr std::int64_t kExl2MaxInputs = 65536;

/// Which of the rules R1 to R5 (docs/formats.md) these groups break for a layer of `inputs` rows,
/// as a sentence that begins with the rule; empty where they break none.
std::string exl2_group_fault(std::int64_t inputs, std::span<const kernels::RowGroup> groups);

/// Throws Failure(internal) naming the layer and the rule, where the groups break one.
void require_storable(const std::string& key, std::int64_t inputs,
                      std::span<const kernels::RowGroup> groups);

}  // namespace shardquant::exl2
