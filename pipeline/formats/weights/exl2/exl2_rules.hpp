#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "pipeline/formats/weights/exl2/quant_option.hpp"

namespace shardquant::exl2 {

/// Inputs of the widest layer whose row numbers the reader's 16 bits hold.
inline constexpr std::int64_t kExl2MaxInputs = 65536;

/// Which of the rules R1 to R5 of exl2-format.md section 4 these groups break for a layer of
/// `inputs` rows, as a sentence that begins with the rule; empty where they break none.
std::string exl2_group_fault(std::int64_t inputs, std::span<const kernels::RowGroup> groups);

}  // namespace shardquant::exl2
