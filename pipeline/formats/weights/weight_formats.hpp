#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/weights/weight_format.hpp"

namespace shardquant::weights {

/// THE table: every format the program can write and read, the default first.
std::span<const WeightFormat* const> weight_formats();

/// The format of that name; null where there is none.
const WeightFormat* find_weight_format(std::string_view name);

/// Their names, in the order of the table.
std::vector<std::string> weight_format_names();

}  // namespace shardquant::weights
