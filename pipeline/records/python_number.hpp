#pragma once

#include <string>

namespace shardquant::records {

/// A finite double as Python writes it: the shortest digits that read back, an exponent below 1e-4
/// and from 1e16 on, ".0" after an integer.
std::string python_number(double value);

}  // namespace shardquant::records
