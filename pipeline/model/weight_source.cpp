#include "pipeline/model/weight_source.hpp"

#include <vector>

namespace shardquant::model {

kernels::Matrix WeightSource::norm(kernels::Backend& backend, const PlainTensor& tensor) const {
  kernels::Matrix weight = norm(backend, tensor.name);
  if (tensor.shift != 0.0f) {
    kernels::Matrix shift = backend.allocate(1, weight.cols());
    backend.upload(std::vector<float>(static_cast<std::size_t>(weight.cols()), tensor.shift),
                   shift);
    backend.add(weight, shift);
  }
  return weight;
}

}  // namespace shardquant::model
