#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "pipeline/model/weight_source.hpp"

namespace shardquant::model {

/// Loads the weight that takes a linear layer's place, in the form that Backend::linear wants; an
/// empty matrix leaves the layer as it is.
using WeightReplacer = std::function<kernels::Matrix(kernels::Backend&, std::int64_t layer)>;

/// Another source with the weights of some linear layers replaced; biases, norms and embedding are
/// that one's. Refers to it, so it must outlive this.
class OverlaidWeights final : public WeightSource {
 public:
  /// Asks `replacer` for every linear layer first.
  OverlaidWeights(const WeightSource& base, WeightReplacer replacer);
  /// Replaces the weights of the layers given (indices into ModelLayout::linear_layers), [N, K]
  /// each in host memory that outlives this.
  OverlaidWeights(const WeightSource& base, std::map<std::int64_t, kernels::HostTensor> weights);

  kernels::Matrix weight(kernels::Backend& backend, std::int64_t layer) const override;
  kernels::Matrix bias(kernels::Backend& backend, std::int64_t layer) const override;
  using WeightSource::norm;
  kernels::Matrix norm(kernels::Backend& backend, const std::string& name) const override;
  void embedding_row(std::int32_t token, std::span<float> out) const override;

 private:
  const WeightSource* base_;
  WeightReplacer replacer_;
};

}  // namespace shardquant::model
