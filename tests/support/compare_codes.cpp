// compare_codes FOLDER FOLDER: share of equal codes of two EXL2 checkpoints of the same model, over
// all layers that both store with the same groups; the others are counted.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <vector>

#include "pipeline/formats/weights/exl2/exl2_reader.hpp"
#include "pipeline/model/source_model.hpp"

namespace {

using namespace shardquant;

struct Count {
  std::int64_t codes = 0;
  std::int64_t equal = 0;
  std::int64_t layers = 0;
  std::int64_t other_groups = 0;
};

// Codes by input, not by stored row: two near equal diagonal elements may have changed places.
std::vector<std::uint8_t> codes_by_input(const exl2::Exl2Layer& layer) {
  std::vector<std::uint8_t> stored(static_cast<std::size_t>(layer.inputs * layer.padded_outputs()));
  exl2::unpack_codes(layer, 0, layer.inputs, stored);
  std::vector<std::uint8_t> by_input(stored.size());
  const auto row = static_cast<std::size_t>(layer.padded_outputs());
  for (std::size_t k = 0; k < static_cast<std::size_t>(layer.inputs); ++k) {
    const auto from = stored.begin() +
                      static_cast<std::int64_t>(static_cast<std::size_t>(layer.q_invperm[k]) * row);
    std::copy_n(from, row, by_input.begin() + static_cast<std::int64_t>(k * row));
  }
  return by_input;
}

void compare(const exl2::Exl2Layer& a, const exl2::Exl2Layer& b, Count& count) {
  if (a.groups != b.groups) {
    ++count.other_groups;
    return;
  }
  const auto codes_a = codes_by_input(a);
  const auto codes_b = codes_by_input(b);
  ++count.layers;
  count.codes += static_cast<std::int64_t>(codes_a.size());
  for (std::size_t i = 0; i < codes_a.size(); ++i) count.equal += codes_a[i] == codes_b[i];
}

Count compare(const model::SourceModel& a, const model::SourceModel& b) {
  Count count;
  for (const model::LinearLayer& layer : a.layout.linear_layers) {
    if (!exl2::is_exl2_layer(a.folder, layer.key)) continue;
    const auto read = [&](const model::SourceModel& from) {
      return exl2::read_exl2_layer(from.folder, layer.key, layer.inputs, layer.outputs,
                                   layer.has_bias);
    };
    compare(read(a), read(b), count);
  }
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: compare_codes FOLDER FOLDER\n");
    return 64;
  }
  try {
    const Count count = compare(model::SourceModel(argv[1]), model::SourceModel(argv[2]));
    std::printf(
        "{\"layers\": %lld, \"layers_with_other_groups\": %lld, \"codes\": %lld, "
        "\"equal_percent\": %.4f}\n",
        static_cast<long long>(count.layers), static_cast<long long>(count.other_groups),
        static_cast<long long>(count.codes),
        100.0 * static_cast<double>(count.equal) / static_cast<double>(count.codes));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "compare_codes: %s\n", error.what());
    return 1;
  }
}
