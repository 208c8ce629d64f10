#pragma once

#include <span>
#include <string_view>

#include "pipeline/model/families/family.hpp"

namespace shardquant::model {

/// THE table of families that the forward pass knows.
std::span<const Family* const> families();

/// The family of an architecture's name; null where there is none.
const Family* find_family(std::string_view architecture);

}  // namespace shardquant::model
