#pragma once

#include <string>

namespace shardquant::config {

/// The text of configs/settings_reference.md, made from the settings table.
std::string settings_reference();

}  // namespace shardquant::config
