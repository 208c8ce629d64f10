#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shardquant::config {

/// The name that a misspelt `word` most likely stands for: the one fewest single-letter changes
/// (inserted, left out, replaced or swapped with the neighbour; case apart) away, if these are few
/// for its length. Ties go to the earlier name; empty where none is near.
std::string nearest_name(std::string_view word, const std::vector<std::string>& names);

}  // namespace shardquant::config
