#pragma once

#include <string>
#include <vector>

namespace shardquant::formats {

/// Why a model cannot be read and what to do, where its files (or the one file that was given) hold
/// weights in another format than safetensors: GGUF, PyTorch's, TensorFlow's, a download that has
/// not come to its end; empty where none does. `folder` is named in the commands.
std::string foreign_weights_hint(const std::vector<std::string>& names, const std::string& folder);

}  // namespace shardquant::formats
