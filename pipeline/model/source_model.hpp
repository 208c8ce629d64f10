#pragma once

#include <filesystem>

#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/model/model_layout.hpp"
#include "pipeline/model/model_tensors.hpp"

namespace shardquant::model {

/// A model folder opened and checked: description, parts, and where each lies. A head that is
/// stored beside the embedding is not tied to it, whatever config.json says. Only headers are in
/// memory. Not movable: its members refer to each other.
struct SourceModel {
  /// @throws Failure as the readers: no_input, bad_data naming file and field
  explicit SourceModel(const std::filesystem::path& path,
                       formats::LinkPolicy links = formats::LinkPolicy::contained)
      : folder(open_weights(path, links)),
        description(read_model_description(folder.directory())),
        layout(lay_out_model(description)),
        tensors(description, layout, folder) {
    if (!tensors.has_quantized()) description.stored_format = nullptr;
    if (tensors.has_own_head()) description.tie_word_embeddings = false;
  }
  SourceModel(const SourceModel&) = delete;
  SourceModel& operator=(const SourceModel&) = delete;

  const LinearLayer& layer(std::int64_t index) const {
    return layout.linear_layers[static_cast<std::size_t>(index)];
  }
  const HessianGroup& group(std::int64_t index) const {
    return layout.groups[static_cast<std::size_t>(index)];
  }
  /// Weights of all its tensors.
  std::int64_t parameters() const {
    std::int64_t count = 0;
    for (const formats::SafetensorsFile& file : folder.files()) {
      for (const formats::TensorInfo& tensor : file.tensors()) {
        count += tensor.bytes() / formats::dtype_bytes(tensor.dtype);
      }
    }
    return count;
  }

  formats::SafetensorsFolder folder;
  ModelDescription description;
  ModelLayout layout;
  ModelTensors tensors;
};

}  // namespace shardquant::model
