#pragma once

#include <filesystem>

#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/model/model_layout.hpp"
#include "pipeline/model/model_tensors.hpp"
#include "pipeline/model/weight_source.hpp"

namespace shardquant::tests {

/// A model folder with all that the forward pass wants. Members refer to each other: not movable.
struct OpenedModel {
  explicit OpenedModel(const std::filesystem::path& path)
      : folder(path),
        description(model::read_model_description(folder.directory())),
        layout(model::lay_out_model(description)),
        tensors(description, layout, folder),
        weights(layout, tensors) {}
  OpenedModel(const OpenedModel&) = delete;
  OpenedModel& operator=(const OpenedModel&) = delete;

  formats::SafetensorsFolder folder;
  model::ModelDescription description;
  model::ModelLayout layout;
  model::ModelTensors tensors;
  model::FolderWeights weights;
};

}  // namespace shardquant::tests
