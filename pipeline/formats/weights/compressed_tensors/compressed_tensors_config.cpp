#include "pipeline/formats/weights/compressed_tensors/compressed_tensors_config.hpp"

#include <nlohmann/json.hpp>

#include "pipeline/formats/json_text.hpp"

namespace shardquant::compressed_tensors {

std::string quantized_config(std::string_view source, const std::string& file,
                             const CompressedTensorsEntry& entry, formats::Dtype dtype) {
  const auto strict = formats::JsonText::parse(source, file);
  if (!strict.root().is_object()) strict.root().refuse("must be an object");
  auto config = nlohmann::ordered_json::parse(source);
  const char* name = dtype == formats::Dtype::bf16 ? "bfloat16" : "float16";
  config["torch_dtype"] = name;
  config["dtype"] = name;
  config.erase("quantization_config");
  config["quantization_config"] = nlohmann::ordered_json::parse(compressed_tensors_text(entry));
  return config.dump(2) + '\n';
}

}  // namespace shardquant::compressed_tensors
