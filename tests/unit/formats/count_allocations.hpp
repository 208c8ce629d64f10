#pragma once

#include <cstdint>

namespace shardquant::tests {

/// Begins to count afresh what operator new hands out in this program.
void start_counting_allocations();

/// Most bytes held at one time since then.
std::int64_t peak_allocated_bytes();

}  // namespace shardquant::tests
