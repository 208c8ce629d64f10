#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kernels/api/backend.hpp"
#include "pipeline/model/model_layout.hpp"
#include "pipeline/model/model_tensors.hpp"

namespace shardquant::model {

/// Where the forward pass takes a model's numbers from.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  /// Weight of a linear layer (index into ModelLayout::linear_layers) in the form that
  /// Backend::linear wants.
  virtual kernels::Matrix weight(kernels::Backend& backend, std::int64_t layer) const = 0;
  /// Its bias, [1, N]; empty where it has none.
  virtual kernels::Matrix bias(kernels::Backend& backend, std::int64_t layer) const = 0;
  /// A norm's weight by the name of its tensor, [1, C].
  virtual kernels::Matrix norm(kernels::Backend& backend, const std::string& name) const = 0;
  /// The same as the layout has it, with what is added when it is loaded.
  kernels::Matrix norm(kernels::Backend& backend, const PlainTensor& tensor) const;
  /// Row `token` of the embedding, [hidden_size] fp32 host. @pre token in [0, vocab_size)
  virtual void embedding_row(std::int32_t token, std::span<float> out) const = 0;
};

/// A model folder, plain or quantized, layer by layer. Refers to layout and tensors, which must
/// outlive it. While it loads a weight it holds the stored bytes of that one, or, of a quantized
/// one, the decoded weight, beside the result. All calls throw Failure: bad_data naming the tensor,
/// also where it holds NaN or infinity; io_error.
class FolderWeights final : public WeightSource {
 public:
  FolderWeights(const ModelLayout& layout, const ModelTensors& tensors)
      : layout_(&layout), tensors_(&tensors) {}

  kernels::Matrix weight(kernels::Backend& backend, std::int64_t layer) const override;
  kernels::Matrix bias(kernels::Backend& backend, std::int64_t layer) const override;
  kernels::Matrix norm(kernels::Backend& backend, const std::string& name) const override;
  void embedding_row(std::int32_t token, std::span<float> out) const override;

 private:
  const LinearLayer& layer_at(std::int64_t layer) const {
    return layout_->linear_layers[static_cast<std::size_t>(layer)];
  }

  const ModelLayout* layout_;
  const ModelTensors* tensors_;
};

}  // namespace shardquant::model
