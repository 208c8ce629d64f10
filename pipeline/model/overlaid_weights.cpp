#include "pipeline/model/overlaid_weights.hpp"

#include <utility>

namespace shardquant::model {

OverlaidWeights::OverlaidWeights(const WeightSource& base, WeightReplacer replacer)
    : base_(&base), replacer_(std::move(replacer)) {}

OverlaidWeights::OverlaidWeights(const WeightSource& base,
                                 std::map<std::int64_t, kernels::HostTensor> weights)
    : OverlaidWeights(
          base, [weights = std::move(weights)](kernels::Backend& backend, std::int64_t layer) {
            const auto found = weights.find(layer);
            return found == weights.end() ? kernels::Matrix() : backend.load_weight(found->second);
          }) {}

kernels::Matrix OverlaidWeights::weight(kernels::Backend& backend, std::int64_t layer) const {
  kernels::Matrix replaced = replacer_(backend, layer);
  return replaced.empty() ? base_->weight(backend, layer) : std::move(replaced);
}

kernels::Matrix OverlaidWeights::bias(kernels::Backend& backend, std::int64_t layer) const {
  return base_->bias(backend, layer);
}

kernels::Matrix OverlaidWeights::norm(kernels::Backend& backend, const std::string& name) const {
  return base_->norm(backend, name);
}

void OverlaidWeights::embedding_row(std::int32_t token, std::span<float> out) const {
  base_->embedding_row(token, out);
}

}  // namespace shardquant::model
