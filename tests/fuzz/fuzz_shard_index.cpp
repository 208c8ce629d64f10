// Feeds arbitrary text to the reader of model.safetensors.index.json, in a folder with two shards
// beside files that must not be read as one. What is accepted names all tensors of both, or of one.

#include <filesystem>
#include <string>

#include "pipeline/failure.hpp"
#include "pipeline/formats/safetensors_folder.hpp"
#include "tests/fuzz/scratch_folder.hpp"
#include "tests/unit/formats/safetensors_bytes.hpp"

namespace {

using namespace shardquant;
using fuzz::require;

// The folder with an index is a subfolder, so that there is an outside to reach for.
struct Model {
  fuzz::ScratchFolder outside;
  std::filesystem::path folder = outside.file("model");

  Model() {
    std::filesystem::create_directory(folder);
    outside.put("o.safetensors", shard("a"));
    outside.put("model/s1.safetensors", shard("a"));
    outside.put("model/s2.safetensors", shard("b"));
    std::filesystem::create_symlink("../o.safetensors", folder / "l.safetensors");
    std::filesystem::create_directory(folder / "d.safetensors");
  }

  static std::string shard(const std::string& tensor) {
    return tests::safetensors_bytes(
        "{\"" + tensor + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x");
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Model model;
  model.outside.put("model/model.safetensors.index.json",
                    {reinterpret_cast<const char*>(data), size});
  try {
    const formats::SafetensorsFolder folder(model.folder);
    require(!folder.names().empty() && folder.names().size() == folder.files().size());
    for (const std::string& name : folder.names()) {
      require(name == "a" || name == "b");
      require(folder.read_all(name).size() == 1);
      require(folder.file_of(name).name() ==
              (model.folder / (name == "a" ? "s1.safetensors" : "s2.safetensors")).string());
    }
  } catch (const Failure& failure) {
    require(failure.code() == ExitCode::bad_data || failure.code() == ExitCode::no_input);
    require(std::string_view(failure.what()).starts_with(model.folder.string()));
  }
  return 0;
}
