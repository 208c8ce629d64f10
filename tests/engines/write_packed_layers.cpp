// Writes random layers of every scheme of compressed-tensors' pack-quantized: model.safetensors
// with what the packer made of them, decoded.safetensors with the values the program decodes, and
// config.json. Usage: write_packed_layers FOLDER SEED

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "pipeline/failure.hpp"
#include "pipeline/formats/safetensors_writer.hpp"
#include "pipeline/formats/shard_file.hpp"
#include "pipeline/formats/weights/compressed_tensors/compressed_tensors_entry.hpp"
#include "pipeline/formats/weights/compressed_tensors/module_pattern.hpp"
#include "tests/support/random_packed.hpp"

namespace {

using namespace shardquant;
using namespace shardquant::compressed_tensors;
using formats::Dtype;
using formats::TensorSpec;

struct Folder {
  std::vector<TensorSpec> packed_tensors;
  std::vector<std::string> packed;
  std::vector<TensorSpec> decoded_tensors;
  std::vector<std::string> decoded;
  CompressedTensorsEntry entry;

  void add(const PackQuantizedSpec& spec, std::mt19937& random) {
    const PackQuantizedLayer layer = tests::RandomPacked(spec, random).pack();
    for (const TensorSpec& tensor : pack_quantized_tensors(spec)) packed_tensors.push_back(tensor);
    for (const auto& bytes : pack_quantized_bytes(layer)) {
      packed.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    std::vector<float> values(spec.outputs * spec.inputs);
    decode_outputs(layer, 0, spec.outputs, values);
    decoded_tensors.push_back({spec.key, Dtype::f32, {spec.outputs, spec.inputs}});
    decoded.emplace_back(reinterpret_cast<const char*>(values.data()), 4 * values.size());
  }
};

void write(const std::filesystem::path& path, const std::vector<TensorSpec>& tensors,
           const std::vector<std::string>& bytes) {
  const formats::SafetensorsLayout layout = formats::lay_out_safetensors(tensors);
  std::string file(layout.file_bytes, '\0');
  layout.header.copy(file.data(), layout.header.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    bytes[i].copy(file.data() + layout.offsets[i], bytes[i].size());
  }
  formats::write_file(path, file, formats::Overwrite::yes);
}

Folder random_folder(std::mt19937& random) {
  Folder folder;
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t group : {32, 64, 128, 0}) {
      for (const bool symmetric : {true, false}) {
        for (const Dtype dtype : {Dtype::bf16, Dtype::f16, Dtype::f32}) {
          const PackQuantizedScheme scheme{bits, group, symmetric};
          const std::string key = fmt::format("model.layers.0.{}.{}", pack_quantized_name(scheme),
                                              formats::dtype_name(dtype));
          folder.add({key, 43, group == 0 ? 101 : 384, scheme, dtype}, random);
          folder.entry.targets.push_back({key, scheme});
        }
      }
    }
  }
  const PackQuantizedScheme scheme{4, 64, true};
  const std::string experts = "model.layers.1.mlp.experts";
  for (const char* name : {"0.gate_proj", "0.up_proj", "11.down_proj"}) {
    folder.add({experts + '.' + name, 64, 128, scheme, Dtype::bf16}, random);
  }
  folder.entry.targets.push_back({pattern_below(experts), scheme});
  folder.entry.ignore = {"lm_head", "re:^mtp\\..*"};
  return folder;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 64;
  try {
    const std::filesystem::path path = arguments[1];
    std::mt19937 random(static_cast<unsigned>(std::atoi(arguments[2])));
    const Folder folder = random_folder(random);
    std::filesystem::create_directories(path);
    write(path / "model.safetensors", folder.packed_tensors, folder.packed);
    write(path / "decoded.safetensors", folder.decoded_tensors, folder.decoded);
    formats::write_file(
        path / "config.json",
        "{\"quantization_config\": " + compressed_tensors_text(folder.entry) + "}\n",
        formats::Overwrite::yes);
  } catch (const Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return static_cast<int>(failure.code());
  }
  return 0;
}
