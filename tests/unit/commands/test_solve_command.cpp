#include "pipeline/commands/solve_command.hpp"
#include "pipeline/formats/weights/exl2/exl2_format.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "pipeline/allocation/allocation_input.hpp"
#include "pipeline/commands/print_allocation.hpp"
#include "pipeline/forecast/output_size.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "pipeline/model/model_description.hpp"
#include "pipeline/records/measurement_file_2024.hpp"
#include "pipeline/records/plan_file.hpp"
#include "tests/support/make_model.hpp"
#include "tests/support/shared_data.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/formats/expect_refusal.hpp"

namespace shardquant::commands {
namespace {

using tests::expect_refusal;

// A generated model and a measurement of it with errors that fall with the bits.
class SolveCommand : public testing::Test {
 protected:
  SolveCommand() {
    tests::MakeModelOptions options;
    options.layers = 3;
    options.hidden = 256;  // from here on the options differ much in bits
    options.ffn = 512;
    options.vocab = 1000;
    tests::make_model(model_, options);
    const auto layout =
        model::lay_out_model(model::read_model_description(formats::ModelDirectory(model_)));
    for (const auto& layer : layout.linear_layers) {
      if (layer.is_head) continue;
      auto& measured = measurement_.layers.emplace_back();
      measured.key = layer.key;
      measured.numel = layer.parameters();
      for (const auto& option : exl2::exl2_2023_options()) {
        const auto groups = exl2::cut_into_groups(option, layer.inputs);
        if (groups.empty()) continue;
        const std::int64_t bits = exl2::measured_bits(groups, layer.outputs);
        const double bpw = static_cast<double>(bits) / static_cast<double>(measured.numel);
        const double scale = 0.5 + 0.1 * static_cast<double>(measurement_.layers.size() % 5);
        measured.options.push_back(records::measured_option(
            exl2::describe(option), bits, measured.numel, scale * std::exp2(-bpw),
            {option.group_size, option.bits, option.proportions, option.scale_bits}));
      }
    }
    measurement_.last_module_idx = 8;
    measurement_.base_perplexity = 10.0;
    records::write_measurement_2023(arguments_.measurement = path("m.json"), measurement_,
                                    formats::Overwrite::no);
    arguments_.bpw = 4.0;
  }

  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  std::string run() const {
    testing::internal::CaptureStdout();
    try {
      solve(arguments_);
    } catch (...) {
      testing::internal::GetCapturedStdout();
      throw;
    }
    return testing::internal::GetCapturedStdout();
  }

  tests::TempDirectory folder_;
  std::filesystem::path model_ = folder_.path() / "model";
  records::Measurement measurement_;
  SolveArguments arguments_;
};

TEST_F(SolveCommand, WritesAPlanThatNamesItsInput) {
  arguments_.out = path("plan.json");
  const std::string printed = run();
  EXPECT_NE(printed.find("gap 0, proved"), std::string::npos) << printed;
  const records::Plan plan = records::read_plan(arguments_.out);
  EXPECT_EQ(plan.layers.size(), 21u);
  EXPECT_EQ(plan.measurement_hash,
            records::content_hash(formats::read_text_file(arguments_.measurement, 1 << 30)));
  for (const auto& layer : plan.layers) EXPECT_TRUE(plan.recipes.contains(layer.desc));
  EXPECT_LE(plan.total_bits, plan.budget_bits);
  expect_refusal([&] { run(); }, ExitCode::cannot_create, {"plan.json"});
  arguments_.force = true;
  EXPECT_NO_THROW(run());
}

TEST_F(SolveCommand, FillsInTheMeasurement) {
  arguments_.out = path("plan.json");
  arguments_.measurement_out = path("filled.json");
  run();
  const records::Plan plan = records::read_plan(arguments_.out);
  const auto filled = records::read_measurement_2023(arguments_.measurement_out);
  for (std::size_t l = 0; l < filled.layers.size(); ++l) {
    const auto& layer = filled.layers[l];
    ASSERT_TRUE(layer.best_option && layer.best_option_max);
    EXPECT_EQ(layer.options[*layer.best_option].desc, plan.layers[l].desc);
  }
}

TEST_F(SolveCommand, MeetsASizeOfTheFolder) {
  arguments_.model = model_.string();
  arguments_.out = path("plan.json");
  arguments_.force = true;
  run();
  const std::int64_t at_4_bpw = *records::read_plan(arguments_.out).folder_bytes;

  arguments_.bpw = 0.0;
  for (const std::int64_t less : {0, 2'000, 20'000, 60'000}) {
    arguments_.size = std::to_string(at_4_bpw - less);
    run();
    const records::Plan plan = records::read_plan(arguments_.out);
    EXPECT_LE(*plan.folder_bytes, at_4_bpw - less);
    EXPECT_EQ(plan.folder_budget_bytes, at_4_bpw - less);
    // What is left over: the rounding up of headers and plan, and less than one step of a layer.
    EXPECT_GT(*plan.folder_bytes, at_4_bpw - less - 16'000);
  }
  arguments_.size = "100kB";
  expect_refusal([&] { run(); }, ExitCode::config, {"100000 bytes", "smallest reachable"});
  arguments_.model.clear();
  arguments_.size = "1MB";
  expect_refusal([&] { run(); }, ExitCode::config, {"--model"});
}

// The upper bound that the allocation works with is never below the size itself.
TEST_F(SolveCommand, BoundsTheSizeOfTheFolder) {
  for (const std::int64_t shard_mib : {1, 8192}) {
    const forecast::OutputSize size(model_, exl2::exl2_format(), 6, shard_mib);
    const allocation::FolderSize by_layer = size.by_layer(measurement_);
    for (std::size_t option : {0u, 5u, 11u, 23u}) {
      records::Plan plan;
      std::int64_t bound = by_layer.fixed_bytes;
      for (std::size_t l = 0; l < measurement_.layers.size(); ++l) {
        const auto& layer = measurement_.layers[l];
        const std::size_t index = std::min(option, layer.options.size() - 1);
        const auto& chosen = layer.options[index];
        plan.layers.push_back({layer.key, chosen.desc, chosen.bits(), chosen.err});
        plan.recipes[chosen.desc] = chosen.qparams;
        plan.numel += layer.numel;
        plan.total_bits += chosen.bits();
        bound += by_layer.layer_bytes[l][index];
      }
      EXPECT_LE(size.bytes(measurement_, plan), bound);
      EXPECT_GT(size.bytes(measurement_, plan), bound - 16'000);
    }
  }
}

TEST_F(SolveCommand, RefusesTheMeasurementOfAnotherModel) {
  tests::MakeModelOptions other;
  other.layers = 3;
  other.hidden = 256;
  other.ffn = 384;
  tests::make_model(folder_.path() / "other", other);
  arguments_.model = path("other");
  expect_refusal([&] { run(); }, ExitCode::bad_data, {"mlp.gate_proj"});
  other.layers = 2;
  other.ffn = 512;
  tests::make_model(folder_.path() / "shallow", other);
  arguments_.model = path("shallow");
  expect_refusal([&] { run(); }, ExitCode::bad_data, {"14 linear layers", "21"});
  arguments_.head_bits = 7;
  expect_refusal([&] { run(); }, ExitCode::config, {"head bits"});
}

TEST_F(SolveCommand, WritesTheFrontierTwice) {
  arguments_.bpw = 0.0;
  arguments_.frontier = "3:5:0.5";
  arguments_.out = path("frontier.json");
  const std::string printed = run();
  EXPECT_EQ(printed, formats::read_text_file(path("frontier.csv"), 1 << 20));
  EXPECT_EQ(std::count(printed.begin(), printed.end(), '\n'), 6);
  EXPECT_NE(formats::read_text_file(arguments_.out, 1 << 20).find("\"asked_bpw\": 4.5"),
            std::string::npos);
  arguments_.out = path("frontier.csv");
  expect_refusal([&] { run(); }, ExitCode::usage, {"--out"});
}

TEST_F(SolveCommand, AppliesConstraints) {
  arguments_.bpw = 5.5;
  arguments_.out = path("plan.json");
  arguments_.pins = {"model.layers.0.*=1.0:8b 32g s4"};
  arguments_.floors = {"re:o_proj$=5"};
  arguments_.ceilings = {"*.2.mlp.*=3.5"};
  arguments_.ties = {"re:self_attn\\.[kv]_proj$"};
  run();
  const records::Plan plan = records::read_plan(arguments_.out);
  EXPECT_EQ(plan.constraints.size(), 4u);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(plan.layers[i].desc, "1.0:8b 32g s4");
  for (int block : {1, 2}) {
    EXPECT_EQ(plan.layers[7 * block + 1].desc, plan.layers[7 * block + 2].desc);
    const auto& o = plan.layers[7 * block + 3];
    EXPECT_GE(static_cast<double>(o.bits), 5.0 * 256 * 256);
  }
}

TEST_F(SolveCommand, PrintsAHeatMap) {
  arguments_.print = true;
  const std::string printed = run();
  EXPECT_NE(printed.find("self_attn.q_proj"), std::string::npos);
  EXPECT_NE(printed.find("layers  option"), std::string::npos);

  allocation::AllocationInput input;
  input.layers = {{"b.0.x", 10, {{"low", 20, 0.5, 2.0, 20}, {"high", 80, 0.1, 8.0, 80}}},
                  {"b.1.x\033[2J", 10, {{"low", 20, 0.5, 2.0, 20}, {"high", 80, 0.1, 8.0, 80}}},
                  {"b.1.x", 10, {{"low", 20, 0.5, 2.0, 20}, {"high", 80, 0.1, 8.0, 80}}}};
  records::Plan plan;
  plan.layers = {{"b.0.x", "low", 20, 0.5}, {"b.1.x", "low", 20, 0.5}, {"b.1.x", "high", 80, 0.1}};
  const std::string map = plan_heat_map(input, plan);
  EXPECT_NE(map.find("▁█  5.000"), std::string::npos) << map;
  EXPECT_EQ(map.find('\033'), std::string::npos);  // names from files cannot steer the terminal
}

TEST_F(SolveCommand, RefusesWhatIsNotThere) {
  arguments_.measurement = path("missing.json");
  expect_refusal([&] { run(); }, ExitCode::no_input, {"missing.json"});
  std::ofstream(path("bad.json")) << "{\"measurement\": [{}]}";
  arguments_.measurement = path("bad.json");
  expect_refusal([&] { run(); }, ExitCode::bad_data, {"bad.json", "measurement[0]"});
}

TEST(SolveCommand2024, WritesAStrategy) {
  constexpr const char* kShared = "data/measurements/mixtral-8x7b-instruct.2024.json";
  SKIP_WITHOUT_SHARED(kShared);
  const tests::TempDirectory folder;
  SolveArguments arguments;
  arguments.measurement = tests::shared_path(kShared);
  arguments.bpw = 3.5;
  arguments.measurement_out = (folder.path() / "out.json").string();
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  solve(arguments);
  testing::internal::GetCapturedStdout();
  EXPECT_NE(testing::internal::GetCapturedStderr().find("leave out q_invperm"), std::string::npos);
  const std::string text = formats::read_text_file(arguments.measurement_out, 1 << 30);
  EXPECT_NE(text.find("\"strategy\": {\n        \"model.layers.0.self_attn\": {\n"),
            std::string::npos);
  EXPECT_NO_THROW(records::parse_measurement_2024(text, "out"));
  arguments.model = folder.path().string();
  expect_refusal([&] { solve(arguments); }, ExitCode::config, {"2023 schema"});
}

}  // namespace
}  // namespace shardquant::commands
