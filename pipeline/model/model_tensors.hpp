#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/model/model_layout.hpp"

namespace shardquant::model {

/// Opens the weights of a folder. Where they were saved by a model without a head, whose names lack
/// "model." ("layers.0..."), they are known by the names with it. @throws Failure as
/// SafetensorsFolder
formats::SafetensorsFolder open_weights(const std::filesystem::path& path,
                                        formats::LinkPolicy links = formats::LinkPolicy::contained);

/// Where each part of a model lies in its folder. Refers to the folder, which must outlive it;
/// const members may be called from several threads.
class ModelTensors {
 public:
  /// Checks that every expected tensor is there with the expected shape, as F32, F16 or BF16 or in
  /// the weight format that the config names, and that there is no other one. Old rotary buffers
  /// (*.rotary_emb.inv_freq) are ignored, and so is what quantization_config says where the tensors
  /// are not so. With tied embeddings one matrix may be stored, as model.embed_tokens.weight or as
  /// lm_head.weight, and serves as both; where both are stored, each is what it is called. @throws
  /// Failure(bad_data) naming what is missing, odd or unexpected
  ModelTensors(const ModelDescription& description, const ModelLayout& layout,
               const formats::SafetensorsFolder& folder);

  const formats::SafetensorsFolder& folder() const { return *folder_; }

  /// What its weights are quantized in; null: they are not.
  const weights::WeightFormat* stored_format() const { return stored_format_; }

  /// True where a linear layer (index into ModelLayout::linear_layers) is stored in that format.
  bool is_quantized(std::int64_t layer) const { return weights_[layer].empty(); }
  /// Whether any layer is.
  bool has_quantized() const;
  /// Whether there is a head beside the embedding though config.json ties the two.
  bool has_own_head() const { return has_own_head_; }
  /// Name of the tensor [N, K] that holds a linear layer's weight; empty where it is
  /// quantized.
  const std::string& weight_name(std::int64_t layer) const { return weights_[layer]; }
  /// Name of the tensor that holds a plain tensor (index into ModelLayout::plain_tensors).
  const std::string& plain_name(std::int64_t tensor) const { return plain_[tensor]; }

 private:
  void refuse_partly_quantized(const ModelLayout& layout) const;

  const formats::SafetensorsFolder* folder_;
  const weights::WeightFormat* stored_format_;
  std::vector<std::string> weights_;
  std::vector<std::string> plain_;
  bool has_own_head_ = false;
};

/// Reads a floating point tensor, F32, F16 or BF16, `offset` elements from its beginning, as fp32.
/// @throws Failure(bad_data) for other types, or for NaN or infinity: names tensor, index and count
void read_floats(const formats::SafetensorsFolder& folder, const std::string& name,
                 std::int64_t offset, std::span<float> out);

/// The same rounded to fp16 bits. @throws Failure(bad_data) as above, and naming tensor, index and
/// value where a value is beyond 65504
void read_halves(const formats::SafetensorsFolder& folder, const std::string& name,
                 std::int64_t offset, std::span<std::uint16_t> out);

/// The same in the type in which it is to be stored: F16 (as read_halves), BF16 (to nearest even)
/// or F32, out.size() / dtype_bytes elements.
void read_as(const formats::SafetensorsFolder& folder, const std::string& name,
             formats::Dtype dtype, std::int64_t offset, std::span<std::byte> out);

}  // namespace shardquant::model
