#pragma once

#include <algorithm>
#include <vector>

#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/model/model_description.hpp"
#include "pipeline/model/model_tensors.hpp"
#include "tests/oracle/naive_forward.hpp"

namespace shardquant::tests {

/// The oracle's form of a folder that make_model or the demo's trainer wrote: no windows, plain
/// rotary embedding.
inline oracle::NaiveModel naive_twin(const model::ModelDescription& description,
                                     const formats::SafetensorsFolder& folder) {
  oracle::NaiveModel naive;
  naive.layers = description.layers;
  naive.heads = description.heads;
  naive.kv_heads = description.kv_heads;
  naive.head_dim = description.head_dim;
  naive.epsilon = description.rms_norm_eps;
  naive.windows.assign(static_cast<std::size_t>(description.layers), 0);
  naive.frequencies = oracle::rope_frequencies(10000.0, description.head_dim);
  for (const std::string& name : folder.names()) {
    const std::vector<std::int64_t>& shape = folder.at(name).shape;
    oracle::Dense tensor(shape.size() == 2 ? shape[0] : 1, shape.back());
    std::vector<float> values(tensor.values.size());
    model::read_floats(folder, name, 0, values);
    std::copy(values.begin(), values.end(), tensor.values.begin());
    naive.tensors.emplace(name, tensor);
  }
  return naive;
}

/// Logits of a document by itself.
inline oracle::Dense naive_logits(const oracle::NaiveModel& naive,
                                  const std::vector<std::int32_t>& document) {
  oracle::Dense x = naive.embed(document);
  std::vector<oracle::Dense> inputs;
  for (std::int64_t i = 0; i < naive.layers; ++i) x = naive.block(x, i, x.rows, inputs);
  return naive.head(x);
}

}  // namespace shardquant::tests
