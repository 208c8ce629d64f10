#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/allocation/allocate.hpp"

namespace shardquant::allocation {

/// What a command line or a job file says of the allocation, as texts.
struct RequestTexts {
  double bpw = 0.0;       ///< of these three the last that is given counts
  std::int64_t bits = 0;  ///< 0: not given
  std::string size;       ///< "24GiB"; empty: not given
  std::string objective = "sum";
  double tolerance = 0.0;
  std::vector<std::string> pins, floors, ceilings, ties, ties_across_blocks;
  std::filesystem::path weights;  ///< JSON file; empty: none
};

/// The request that the texts stand for; its `folder` is left to the caller.
/// @throws Failure: config naming the text that is wrong; no_input, bad_data of the weights
AllocationRequest make_request(const RequestTexts& texts);

}  // namespace shardquant::allocation
