#pragma once

#include <vector>

#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "pipeline/output/output_layout.hpp"
#include "pipeline/records/plan_file.hpp"

namespace shardquant::output {

/// Which option every linear layer gets, on all ranks.
struct AllocatedModel {
  records::Plan plan;
  /// By linear layer, head included; null: kept in fp16.
  std::vector<exl2::QuantOption> options;
  std::vector<bool> quantized;
  OutputLayout output;
};

}  // namespace shardquant::output
