// Feeds arbitrary text to the reader of a compressed-tensors quantization_config. What is accepted
// is written and read again, and modules are looked up in it.

#include <string>

#include "pipeline/failure.hpp"
#include "pipeline/formats/weights/compressed_tensors/scheme_lookup.hpp"
#include "tests/fuzz/scratch_folder.hpp"

namespace {

using namespace shardquant;
using fuzz::require;

compressed_tensors::CompressedTensorsEntry read(std::string_view text) {
  const formats::JsonText json = formats::JsonText::parse(text, "config.json");
  return compressed_tensors::read_compressed_tensors(json.root());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto entry = read({reinterpret_cast<const char*>(data), size});
    const std::string text = compressed_tensors::compressed_tensors_text(entry);
    require(compressed_tensors::compressed_tensors_text(read(text)) == text);
    const compressed_tensors::SchemeLookup lookup(entry, "config.json");
    for (const char* module :
         {"model.layers.0.self_attn.q_proj", "lm_head", "model.layers.1.mlp.experts.7.up_proj",
          "aaaaaaaaaaaaaaaaaaaaaaaa"}) {
      const auto scheme = lookup.find(module);
      require(!scheme || (scheme->bits >= 1 && scheme->bits <= 8 && scheme->group >= 0));
    }
  } catch (const Failure& failure) {
    require(failure.code() == ExitCode::bad_data);
    require(std::string_view(failure.what()).starts_with("config.json: "));
  }
  return 0;
}
