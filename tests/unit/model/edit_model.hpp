#pragma once

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "pipeline/formats/output_shards.hpp"
#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/formats/shard_file.hpp"

namespace shardquant::tests {

/// A tensor with its bytes.
struct StoredTensor {
  formats::TensorSpec spec;
  std::vector<std::byte> bytes;
};

inline void write_model_file(const std::filesystem::path& folder,
                             const std::vector<StoredTensor>& tensors) {
  std::vector<formats::TensorSpec> specs;
  for (const StoredTensor& tensor : tensors) specs.push_back(tensor.spec);
  const formats::OutputPlan plan = formats::plan_output_shards(specs, 1024);
  std::string file = plan.shards[0].header;
  file.resize(plan.file_bytes());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    std::memcpy(file.data() + plan.places[i].offset, tensors[i].bytes.data(),
                tensors[i].bytes.size());
  }
  formats::write_file(folder / "model.safetensors", file, formats::Overwrite::yes);
}

/// Changes the tensors of a folder that has one file.
inline void edit(const std::filesystem::path& folder,
                 const std::function<void(std::vector<StoredTensor>&)>& change) {
  std::vector<StoredTensor> tensors;
  {
    const formats::SafetensorsFolder opened(folder);
    for (const std::string& name : opened.names()) {
      const auto& info = opened.at(name);
      tensors.push_back({{name, info.dtype, info.shape}, opened.read_all(name)});
    }
  }
  change(tensors);
  write_model_file(folder, tensors);
}

inline StoredTensor& named(std::vector<StoredTensor>& tensors, const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(),
                       [&](const StoredTensor& tensor) { return tensor.spec.name == name; });
}

}  // namespace shardquant::tests
