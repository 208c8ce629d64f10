#include "pipeline/formats/foreign_weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace shardquant::formats {

namespace {

bool any_ends(const std::vector<std::string>& names, std::string_view ending) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return name.ends_with(ending); });
}

}  // namespace

std::string foreign_weights_hint(const std::vector<std::string>& names, const std::string& folder) {
  if (any_ends(names, ".gguf")) {
    return "GGUF files, which llama.cpp reads: their weights are quantized already; fetch the "
           "model they were made of, in safetensors";
  }
  for (const std::string_view ending : {".bin", ".pt", ".pth", ".ckpt"}) {
    if (!any_ends(names, ending)) continue;
    return fmt::format(
        "weights of PyTorch (*{0}), which are programs as much as data and are not read; convert "
        "them where transformers is installed: python3 -c \"from transformers import "
        "AutoModelForCausalLM as M, AutoTokenizer as T; d = '{1}'; M.from_pretrained(d, "
        "torch_dtype='auto').save_pretrained(d + '-safetensors'); "
        "T.from_pretrained(d).save_pretrained(d + '-safetensors')\"",
        ending, folder);
  }
  if (any_ends(names, ".h5") || any_ends(names, ".msgpack")) {
    return "weights of TensorFlow or Flax; fetch the model in safetensors";
  }
  if (any_ends(names, ".incomplete")) {
    return "a download that has not come to its end; start it again";
  }
  return "";
}

}  // namespace shardquant::formats
