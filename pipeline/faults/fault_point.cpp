#include "pipeline/faults/fault_point.hpp"

#include <array>

namespace shardquant::faults {

namespace {

constexpr std::array<std::string_view, 22> kNames = {
    "session_started",      "inputs_opened",   "work_opened",        "slice_forwarded",
    "block_forwarded",      "layer_started",   "layer_measured",     "layer_quantizing",
    "layer_written",        "state_created",   "state_written",      "state_sealed",
    "text_written",         "file_renamed",    "generation_written", "generation_committed",
    "publish_started",      "shard_published", "output_written",     "block_tried",
    "sensitivity_measured", "batch_evaluated"};

static_assert(kNames.size() == static_cast<std::size_t>(Point::batch_evaluated) + 1);

}  // namespace

std::string_view point_name(std::size_t index) {
  return index < kNames.size() ? kNames[index] : std::string_view();
}

}  // namespace shardquant::faults
