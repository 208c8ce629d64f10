#pragma once

#include <deque>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::tokenizer {

/// Calls `take` with every step of a part of tokenizer.json, in order: `node` itself, or what a
/// Sequence has under `list`, Sequences in it too. Does not recurse: depth comes from the file.
/// @throws Failure(bad_data) where there are more than 64 steps
template <class Take>
void for_each_step(const formats::JsonNode& node, const char* list, Take&& take) {
  constexpr std::int64_t kMostSteps = 64;
  std::deque<formats::JsonNode> waiting{node};
  for (std::int64_t steps = 0; !waiting.empty(); ++steps) {
    if (steps == kMostSteps) node.refuse(fmt::format("more than {} steps", kMostSteps));
    const formats::JsonNode step = waiting.front();
    waiting.pop_front();
    if (step.string("type") != "Sequence") {
      take(step);
      continue;
    }
    const formats::JsonNode inner = step.at(list);
    for (std::int64_t i = inner.size() - 1; i >= 0; --i) waiting.push_front(inner.at(i));
  }
}

}  // namespace shardquant::tokenizer
