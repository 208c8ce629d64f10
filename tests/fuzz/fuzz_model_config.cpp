// Feeds arbitrary text to the reader of config.json. What is accepted is laid out, where it has few
// layers, and given the entry of a quantized model, which must read back as one.

#include <algorithm>
#include <string>

#include "pipeline/failure.hpp"
#include "pipeline/formats/weights/exl2/rewrite_config.hpp"
#include "pipeline/model/model_layout.hpp"
#include "tests/fuzz/scratch_folder.hpp"

namespace {

using namespace shardquant;
using fuzz::require;

void use(const model::ModelDescription& model, std::string_view text) {
  constexpr std::int64_t kFewLayers = 16;
  require(model.layers >= 1 && model.head_dim >= 2 && model.heads % model.kv_heads == 0);
  require(std::ssize(model.windows) == model.layers);
  if (model.layers <= kFewLayers) {
    const model::ModelLayout layout = model::lay_out_model(model);
    std::int64_t parameters = -layout.head().parameters();
    for (const model::LinearLayer& layer : layout.linear_layers) parameters += layer.parameters();
    require(parameters > 0 && parameters == layout.block_parameters());
  }
  const std::string rewritten =
      exl2::rewrite_config(text, "config.json", {4.0, 6, 64, 256, "tokens.i32", {}});
  require(model::parse_model_description(rewritten, "config.json").stored_format != nullptr);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    use(model::parse_model_description(text, "config.json"), text);
  } catch (const Failure& failure) {
    require(failure.code() == ExitCode::bad_data);
    require(std::string_view(failure.what()).starts_with("config.json: "));
  }
  return 0;
}
