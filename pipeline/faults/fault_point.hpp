#pragma once

#include <cstddef>
#include <string_view>

namespace shardquant::faults {

/// Places where a test build can be made to fail. SHARDQUANT_FAULT holds one order or several with
/// ';' between: "point=NAME,rank=R,count=N,action=A". The order is carried out when rank R
/// (default: any) reaches the point for the Nth time (default: the first). Actions: kill, stop
/// (SIGKILL and SIGSTOP to itself), throw, exit:CODE, sleep:SECONDS, errno:NUMBER (as if the system
/// had reported it). SHARDQUANT_FAULT_TRACE names a file that gets a line "RANK NAME ITEM" for
/// every point reached.
enum class Point {
  session_started,       ///< the ranks know of each other; nothing is read or written
  inputs_opened,         ///< headers and calibration tokens are checked
  work_opened,           ///< the locks are held and the work folder prepared
  slice_forwarded,       ///< item: a block; after every round of slices
  block_forwarded,       ///< item: a block
  layer_started,         ///< item: a layer that is about to be measured, and options of it
  layer_measured,        ///< item: a layer whose record is not yet written
  layer_quantizing,      ///< item: a layer that is about to be quantized
  layer_written,         ///< item: a layer whose tensors are in the shard, its record not yet
  state_created,         ///< item: a state file, empty under its temporary name
  state_written,         ///< complete, not sealed
  state_sealed,          ///< sealed and flushed
  text_written,          ///< item: a text file, complete under its temporary name
  file_renamed,          ///< item: either, under its name, the folder not flushed
  generation_written,    ///< all files of a generation of hidden states, no manifest
  generation_committed,  ///< its manifest too; the one before the last still there
  publish_started,       ///< the intent is recorded, no shard has its name
  shard_published,       ///< item: a shard that has its name
  output_written,        ///< the weights' folder is complete, the record of it is not
  block_tried,           ///< item: a block that a rank's changed models went through
  sensitivity_measured,  ///< item: a layer or part whose sensitivity is not yet written
  batch_evaluated,       ///< item: a batch of validation rows whose record is not yet written
};

/// The name of a point as SHARDQUANT_FAULT spells it, by its number; empty beyond the last.
std::string_view point_name(std::size_t index);

#ifdef SHARDQUANT_FAULT_POINTS
/// Carries out the orders for `point`.
/// @throws Failure: internal for throw, io_error for errno
void reach(Point point, std::string_view item = {});
/// Tells this process its rank; before that it is 0.
void set_rank(int rank);
#else
inline void reach(Point, std::string_view = {}) {}
inline void set_rank(int) {}
#endif

/// Whether this build carries out orders.
constexpr bool are_compiled_in() {
#ifdef SHARDQUANT_FAULT_POINTS
  return true;
#else
  return false;
#endif
}

}  // namespace shardquant::faults
