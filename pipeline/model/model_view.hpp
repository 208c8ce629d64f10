#pragma once

#include "pipeline/model/model_layout.hpp"
#include "pipeline/model/weight_source.hpp"

namespace shardquant::model {

/// A model that is forwarded; refers to what describes it.
struct ModelView {
  const ModelDescription& description;
  const ModelLayout& layout;
  const WeightSource& source;
};

}  // namespace shardquant::model
