#pragma once

#include <string>

namespace shardquant::checkpoint {

/// What tells this build of the program from others: its version, and the build id that the linker
/// computed over its contents (hex; "unknown" where it was linked without one).
std::string build_identity();

}  // namespace shardquant::checkpoint
