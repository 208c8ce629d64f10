#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shardquant::allocation {

/// ExLlamaV2's rule of 2023, which stands beside the objectives and minimizes none.
inline constexpr std::string_view kRuleName = "exl2-2023";

/// What an allocation can be asked for: the objectives of the solver, the default first, and the
/// rule.
const std::vector<std::string>& objective_names();

}  // namespace shardquant::allocation
