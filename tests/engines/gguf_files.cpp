// GGUF files for the tests with Python's gguf package.
//   gguf_files write OUT.gguf SEED BLOCKS   random blocks of every type that is encoded, each
//   tensor
//                                           with its decoded values beside it as NAME.decoded, F32
//   gguf_files decode IN.gguf OUT.gguf      the same metadata, all tensors as F32
//   gguf_files names HF_NAME...             a line "HF_NAME GGUF_NAME" each

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>

#include "pipeline/failure.hpp"
#include "pipeline/formats/shard_file.hpp"
#include "pipeline/formats/weights/gguf/gguf_codec.hpp"
#include "pipeline/formats/weights/gguf/gguf_model.hpp"
#include "pipeline/formats/weights/gguf/gguf_names.hpp"
#include "pipeline/formats/weights/gguf/gguf_output.hpp"
#include "tests/support/gguf_bytes.hpp"
#include "tests/support/random_gguf.hpp"

namespace {

using namespace shardquant;
using namespace shardquant::gguf;

struct Content {
  std::vector<GgufTensorSpec> tensors;
  std::vector<std::vector<std::byte>> bytes;

  void add(GgufTensorSpec tensor, std::vector<std::byte> data) {
    tensors.push_back(std::move(tensor));
    bytes.push_back(std::move(data));
  }
  void add_decoded(const GgufTensorSpec& tensor, const std::vector<std::byte>& data,
                   const std::string& name) {
    std::vector<float> values(tensor.rows() * tensor.row_elements());
    decode_gguf(tensor.type, data, values);
    std::vector<std::byte> stored(4 * values.size());
    encode_gguf_floats(GgufType::f32, values, stored);
    add({name, GgufType::f32, tensor.dims}, std::move(stored));
  }
  void write(const GgufMetadata& metadata, const std::filesystem::path& path) const {
    const formats::OutputPlan plan = plan_gguf_output(metadata, tensors, path.stem().string(), 0);
    std::string file = plan.shards[0].header;
    file.resize(plan.shards[0].file_bytes, '\0');
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      std::memcpy(file.data() + plan.places[i].offset, bytes[i].data(), bytes[i].size());
    }
    formats::write_file(path, file, formats::Overwrite::yes);
  }
};

void write_random(const std::filesystem::path& path, unsigned seed, std::int64_t blocks) {
  std::mt19937 random(seed);
  Content content;
  const auto add = [&](const GgufTensorSpec& tensor, std::vector<std::byte> data) {
    content.add_decoded(tensor, data, tensor.name + ".decoded");
    content.add(tensor, std::move(data));
  };
  for (const GgufGrid& grid : gguf_grids()) {
    const std::string name(gguf_type_name(grid.type));
    const GgufTensorSpec tensor{name, grid.type, {gguf_block_elements(grid.type), blocks}};
    std::vector<std::byte> data(tensor.bytes());
    encode_gguf(grid.type, tests::random_gguf(grid, blocks, random).parts(), data);
    add(tensor, std::move(data));
  }
  for (const GgufType type : {GgufType::f16, GgufType::bf16}) {
    const GgufTensorSpec tensor{std::string(gguf_type_name(type)), type, {32, blocks}};
    std::normal_distribution<float> normal(0.0f, 0.1f);
    std::vector<float> values(32 * blocks);
    for (float& value : values) value = normal(random);
    std::vector<std::byte> data(tensor.bytes());
    encode_gguf_floats(type, values, data);
    add(tensor, std::move(data));
  }
  const GgufMetadata metadata(
      {{"general.architecture", GgufValueType::string, tests::raw_text("llama")}}, path.string());
  content.write(metadata, path);
}

void decode(const std::filesystem::path& from, const std::filesystem::path& to) {
  const GgufModel model(from);
  Content content;
  for (const GgufTensorSpec& tensor : model.tensors()) {
    std::vector<float> values(tensor.rows() * tensor.row_elements());
    model.decode_rows(tensor.name, 0, tensor.rows(), values);
    std::vector<std::byte> stored(4 * values.size());
    encode_gguf_floats(GgufType::f32, values, stored);
    content.add({tensor.name, GgufType::f32, tensor.dims}, std::move(stored));
  }
  content.write(model.metadata(), to);
}

int run(int count, char** arguments) {
  const std::string command = count > 1 ? arguments[1] : "";
  if (command == "write" && count == 5) {
    write_random(arguments[2], static_cast<unsigned>(std::atoi(arguments[3])),
                 std::atoll(arguments[4]));
  } else if (command == "decode" && count == 4) {
    decode(arguments[2], arguments[3]);
  } else if (command == "names") {
    for (int i = 2; i < count; ++i) {
      std::printf("%s %s\n", arguments[i], gguf_tensor_name(arguments[i]).value_or("none").c_str());
    }
  } else {
    return 64;
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return run(count, arguments);
  } catch (const Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return static_cast<int>(failure.code());
  }
}
