#include "tests/support/family_golden.hpp"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>
#include <stdexcept>

#include "pipeline/formats/safetensors_writer.hpp"
#include "tests/support/seeded_stream.hpp"

namespace shardquant::tests {

namespace {

using Json = nlohmann::ordered_json;

std::filesystem::path families_folder() {
  return std::filesystem::path(SHARDQUANT_SOURCE_DIR) / "tests/data/families";
}

std::ifstream open_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return file;
}

Json read_json(const std::filesystem::path& path) {
  auto file = open_file(path);
  return Json::parse(file);
}

std::vector<float> read_floats(const std::filesystem::path& path) {
  std::vector<float> values(std::filesystem::file_size(path) / sizeof(float));
  auto file = open_file(path);
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(float)));
  return values;
}

void put_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

// The numbers of a run lie together: logits of all positions first, then the means.
void take_numbers(GoldenRun& run, std::int64_t offset, const FamilyGolden& golden,
                  std::span<const float> numbers) {
  std::int64_t positions = 0;
  for (const std::int64_t row : run.rows) positions += std::ssize(golden.positions.at(row));
  const std::int64_t logits = positions * golden.vocabulary;
  const std::int64_t means = std::ssize(run.rows) * golden.vocabulary;
  if (offset + logits + means > std::ssize(numbers)) {
    throw std::runtime_error("logits.f32 ends before run " + run.name);
  }
  const auto all = numbers.subspan(offset, logits + means);
  run.logits.assign(all.begin(), all.begin() + logits);
  run.mean_logits.assign(all.begin() + logits, all.end());
}

GoldenRun read_run(const Json& entry, Json config) {
  config.merge_patch(entry.at("patch"));
  GoldenRun run;
  run.name = entry.at("name");
  run.config = config.dump(1);
  run.rows = entry.at("rows").get<std::vector<std::int64_t>>();
  run.range = entry.at("range");
  run.effect = entry.at("effect");
  return run;
}

std::vector<float> make_values(const Json& tensor, std::uint64_t seed) {
  const auto shape = tensor.at("shape").get<std::vector<std::int64_t>>();
  const double center = tensor.at("center");
  const double scale = tensor.at("scale");
  SeededStream random(seed, tensor.at("name").get<std::string>());
  std::vector<float> values(
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
  // The double is exact, with fused multiply-add or without: one rounding, to float.
  for (float& value : values) value = static_cast<float>(center + scale * random.next_even());
  return values;
}

}  // namespace

std::vector<std::string> golden_families() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(families_folder())) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  std::ranges::sort(names);
  return names;
}

FamilyGolden read_family_golden(const std::string& family) {
  const std::filesystem::path folder = families_folder() / family;
  const Json head = read_json(folder / "logits.json");
  const Json config = read_json(folder / "config.json");
  const std::vector<float> numbers = read_floats(folder / "logits.f32");
  FamilyGolden golden{.reference = head.at("reference"),
                      .seed = head.at("seed"),
                      .vocabulary = head.at("vocabulary"),
                      .rows = head.at("rows"),
                      .positions = head.at("positions"),
                      .runs = {}};
  std::int64_t used = 0;
  for (const Json& entry : head.at("runs")) {
    golden.runs.push_back(read_run(entry, config));
    take_numbers(golden.runs.back(), entry.at("offset"), golden, numbers);
    used += std::ssize(golden.runs.back().logits) + std::ssize(golden.runs.back().mean_logits);
  }
  if (used != std::ssize(numbers)) throw std::runtime_error(family + "/logits.f32 is too long");
  return golden;
}

void write_golden_model(const std::filesystem::path& folder, const std::string& family,
                        const FamilyGolden& golden, const GoldenRun& run) {
  const Json tensors = read_json(families_folder() / family / "tensors.json");
  std::vector<formats::TensorSpec> specs;
  for (const Json& tensor : tensors) {
    specs.push_back({tensor.at("name"), formats::Dtype::f32, tensor.at("shape")});
  }
  const formats::SafetensorsLayout layout = formats::lay_out_safetensors(specs);
  std::vector<std::byte> file(layout.file_bytes);
  std::ranges::copy(std::as_bytes(std::span(layout.header)), file.begin());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const std::vector<float> values = make_values(tensors[i], golden.seed);
    std::ranges::copy(std::as_bytes(std::span(values)), file.begin() + layout.offsets[i]);
  }
  std::filesystem::create_directories(folder);
  put_file(folder / "model.safetensors", file);
  put_file(folder / "config.json", std::as_bytes(std::span(run.config)));
}

}  // namespace shardquant::tests
