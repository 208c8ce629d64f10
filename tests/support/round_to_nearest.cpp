// Writes a copy of a plain model folder whose linear layers are rounded to nearest: BITS wide,
// symmetric, one scale per output and GROUP inputs. The baseline that GPTQ has to beat; heads and
// norms stay as they are. Usage: round_to_nearest SOURCE TARGET BITS GROUP

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "kernels/api/half_types.hpp"
#include "pipeline/formats/folder_files.hpp"
#include "pipeline/formats/output_shards.hpp"
#include "pipeline/formats/shard_file.hpp"
#include "pipeline/model/source_model.hpp"

namespace {

using namespace shardquant;

void round_group(std::span<float> weights, int bits) {
  float largest = 0.0f;
  for (const float w : weights) largest = std::max(largest, std::abs(w));
  if (largest == 0.0f) return;
  const auto top = static_cast<float>((1 << (bits - 1)) - 1);
  const float scale = kernels::round_to_half(largest / top);
  for (float& w : weights) w = std::clamp(std::nearbyint(w / scale), -top - 1, top) * scale;
}

std::vector<std::uint16_t> tensor_halves(const model::SourceModel& model, const std::string& name,
                                         std::int64_t row, int bits, std::int64_t group) {
  const auto& info = model.folder.at(name);
  std::int64_t elements = 1;
  for (const std::int64_t extent : info.shape) elements *= extent;
  std::vector<float> values(static_cast<std::size_t>(elements));
  model::read_floats(model.folder, name, 0, values);
  if (bits > 0) {
    const std::int64_t width = group > 0 ? group : row;
    for (std::int64_t first = 0; first < elements; first += row) {
      for (std::int64_t k = 0; k < row; k += width) {
        round_group(std::span(values).subspan(static_cast<std::size_t>(first + k),
                                              static_cast<std::size_t>(std::min(width, row - k))),
                    bits);
      }
    }
  }
  std::vector<std::uint16_t> halves;
  for (const float value : values) halves.push_back(kernels::to_half(value).bits);
  return halves;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: round_to_nearest SOURCE TARGET BITS GROUP\n");
    return 64;
  }
  const model::SourceModel model{std::filesystem::path(argv[1])};
  const std::filesystem::path target = argv[2];
  std::filesystem::create_directories(target);
  std::vector<formats::TensorSpec> specs;
  std::vector<std::vector<std::uint16_t>> data;
  for (const std::string& name : model.folder.names()) {
    int bits = 0;
    for (const model::LinearLayer& layer : model.layout.linear_layers) {
      const bool rounded = !layer.is_head && layer.key + ".weight" == name;
      if (rounded) bits = std::atoi(argv[3]);
    }
    const auto& shape = model.folder.at(name).shape;
    data.push_back(tensor_halves(model, name, shape.back(), bits, std::atoll(argv[4])));
    specs.push_back({name, formats::Dtype::f16, shape});
  }
  const formats::OutputPlan plan = formats::plan_output_shards(specs, 1 << 20);
  {
    const auto file = formats::create_partial(target, plan.shards[0].file_name,
                                              plan.shards[0].file_bytes, formats::Overwrite::yes);
    file.write_exact(0, std::as_bytes(std::span(plan.shards[0].header)));
    for (std::size_t i = 0; i < specs.size(); ++i) {
      file.write_exact(plan.places[i].offset, std::as_bytes(std::span(data[i])));
    }
  }
  formats::publish_partial(target, plan.shards[0].file_name, formats::Overwrite::yes);
  std::ofstream(target / "config.json") << model.description.config_text;
}
