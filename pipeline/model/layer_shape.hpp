#pragma once

#include "pipeline/formats/weights/layer_shape.hpp"
#include "pipeline/model/model_layout.hpp"

namespace shardquant::model {

/// What a weight format has to know of the layer.
inline weights::LayerShape shape_of(const LinearLayer& layer) {
  return {layer.key,      layer.inputs, layer.outputs,
          layer.has_bias, layer.dtype,  layer.follows_biased};
}

}  // namespace shardquant::model
