#pragma once

#include "pipeline/output/output_layout.hpp"
#include "pipeline/records/plan_file.hpp"

namespace shardquant::output {

/// Which option every linear layer gets, on all ranks.
struct AllocatedModel {
  records::Plan plan;
  OutputLayout output;
};

}  // namespace shardquant::output
