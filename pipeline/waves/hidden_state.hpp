#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/matrix.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::waves {

/// A slice of the calibration rows that this rank forwards: its tokens and where it is in the
/// model.
struct OwnSlice {
  std::int64_t index = 0;
  std::vector<std::int32_t> tokens;
  kernels::Matrix hidden;  // [rows * length, hidden_size]
};

/// Writes a generation of hidden states: the slices of all ranks at the beginning of `block`.
/// Leaves it out, with a line in the log, where the work folder has no room for it. Collective.
/// @throws SharedFailure(io_error)
void save_hidden_states(const RunContext& context, std::int64_t block,
                        std::span<const OwnSlice> slices);

/// Fills the hidden states of this rank's slices from the newest whole generation at or before
/// `last_block`, whatever the number of ranks that wrote it, and returns its block; -1 where there
/// is none. A damaged generation is renamed, and the one before it taken. Collective.
std::int64_t load_hidden_states(const RunContext& context, std::int64_t last_block,
                                std::span<OwnSlice> slices);

}  // namespace shardquant::waves
