#pragma once

#include <cstdint>

namespace shardquant::solver::detail {

/// 128-bit integer: products of losses (below 2^62) and bits (at most 2^60) are exact in it.
__extension__ typedef __int128 Wide;

}  // namespace shardquant::solver::detail
