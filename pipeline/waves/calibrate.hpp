#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "pipeline/model/weight_source.hpp"
#include "pipeline/waves/measure_group.hpp"
#include "pipeline/waves/plan_waves.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::waves {

/// What the forward pass over the calibration rows is to yield.
struct CalibrationRequest {
  const model::WeightSource& source;  ///< whose weights are forwarded with
  WaveRequest waves;                  ///< first_block is set by calibrate
  bool keep_hessians = false;         ///< write each to the work folder before it is worked off
  bool sketches = false;              ///< for err_norm row_mean
  bool perplexity = false;            ///< of the model on the calibration rows
  std::function<void(const Wave&)> wave_begun = {};  ///< called before the wave's first block
  std::function<void(const Wave&)> wave_done =
      {};  ///< called when this rank has worked off its part
};

/// Called on the rank of each part of a group when the Hessian is complete; returns when the part
/// is worked off, or false when it was put down for the run to stop.
using GroupConsumer = std::function<bool(const GroupPart&, const CalibratedGroup&)>;

/// Rows that go through a block together: as many as make about 2048 tokens, a part of a slice.
std::int64_t micro_batch_rows(const Slices& slices);

/// Forwards the calibration rows through the model, block by block, weights streamed, and hands
/// every wanted group's Hessian to the consumers of its parts, wave by wave (plan_waves); where
/// other ranks than the owner have a part, it sends them the Hessian. Begins at the newest stored
/// hidden states before the first wanted group. Collective. Hidden states stay with
/// the rank that owns their slice; between waves they are stored when a checkpoint is due. When the
/// run is to stop, Hessians of the wave that are not worked off are stored first, and the hidden
/// states, so that nothing is forwarded twice. Returns the perplexity on all ranks where asked for.
/// @throws Failure(bad_data) naming tensor or block where a value is NaN or infinite,
/// SharedFailure(try_again) when the run stops
std::optional<double> calibrate(const RunContext& context, const CalibrationRequest& request,
                                const GroupConsumer& consume);

}  // namespace shardquant::waves
