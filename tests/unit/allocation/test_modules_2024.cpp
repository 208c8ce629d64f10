#include <gtest/gtest.h>

#include "pipeline/allocation/allocate.hpp"
#include "pipeline/allocation/module_shapes.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "solver/solve_choice_problem.hpp"
#include "tests/support/external_solver.hpp"
#include "tests/support/shared_data.hpp"

namespace shardquant::allocation {
namespace {

constexpr const char* kMistral = "data/measurements/silicon-maid-7b.2024.json";
constexpr const char* kMixtral = "data/measurements/mixtral-8x7b-instruct.2024.json";

records::Measurement2024 read_shared(const std::string& name) {
  return records::parse_measurement_2024(formats::read_text_file(tests::shared_path(name), 1 << 30),
                                         name);
}

AllocationInput input_of(const records::Measurement2024& measurement) {
  std::vector<std::int64_t> numel;
  for (const auto& shape : find_module_shapes(measurement).shapes) {
    numel.push_back(shape ? shape->numel() : 0);
  }
  return allocation_input(measurement, numel, "shared");
}

solver::ChoiceProblem first_modules(const AllocationInput& input, std::size_t modules,
                                    double share) {
  solver::ChoiceProblem problem;
  std::int64_t least = 0;
  std::int64_t most = 0;
  for (std::size_t l = 0; l < modules; ++l) {
    auto& group = problem.groups.emplace_back();
    for (const auto& option : input.layers[l].options) group.push_back({option.bits, option.err});
    least += input.layers[l].options.front().bits;
    most += input.layers[l].options.back().bits;
  }
  problem.budget_bits =
      least + static_cast<std::int64_t>(share * static_cast<double>(most - least));
  return problem;
}

// One layer [8192, 8192]: whose 74 groups are worked out by hand.
TEST(ModuleShapes, CountsTheBitsOfTheWorkedExample) {
  const records::ProjectionRecipe recipe{{8, 4, 3}, {32, 128, 128}, {0.05, 0.10, 0.85}, 4};
  const std::int64_t cols = 8192;
  const std::int64_t weights = cols * (416 * 8 + 896 * 4 + 6880 * 3);
  const std::int64_t per_group = 16 + 32 + 4 * cols;
  EXPECT_EQ(projection_bits(recipe, 8192, cols, false), weights + 74 * per_group);
  EXPECT_EQ(projection_bits(recipe, 8192, cols, true), weights + 74 * per_group + 32 * 8192);
  const records::ProjectionRecipe half{{4}, {32}, {0.5}, 4};
  EXPECT_FALSE(projection_bits(half, 8192, cols, true).has_value());
}

TEST(ModuleShapes, AreThoseOfMistral7B) {
  SKIP_WITHOUT_SHARED(kMistral);
  const auto measurement = read_shared(kMistral);
  const ModuleShapes found = find_module_shapes(measurement);
  EXPECT_TRUE(found.remarks.empty());
  std::int64_t numel = 0;
  for (std::size_t m = 0; m < measurement.modules.size(); ++m) {
    if (measurement.modules[m].options.empty()) continue;
    ASSERT_TRUE(found.shapes[m].has_value()) << measurement.modules[m].key;
    EXPECT_TRUE(found.shapes[m]->with_invperm);
    numel += found.shapes[m]->numel();
  }
  EXPECT_EQ(found.shapes[0]->rows, (std::vector<std::int64_t>{4096, 4096, 4096, 4096}));
  EXPECT_EQ(found.shapes[0]->cols, (std::vector<std::int64_t>{4096, 1024, 1024, 4096}));
  EXPECT_EQ(found.shapes[1]->rows, (std::vector<std::int64_t>{4096, 4096, 14336}));
  EXPECT_EQ(numel, 32LL * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336));
}

TEST(ModuleShapes, MixtralLeavesOutTheInversePermutation) {
  SKIP_WITHOUT_SHARED(kMixtral);
  const auto measurement = read_shared(kMixtral);
  const ModuleShapes found = find_module_shapes(measurement);
  ASSERT_EQ(found.remarks.size(), 1u);
  EXPECT_NE(found.remarks[0].find("64 modules leave out q_invperm"), std::string::npos);
  for (std::size_t m = 0; m < measurement.modules.size(); ++m) {
    if (measurement.modules[m].options.empty()) continue;
    ASSERT_TRUE(found.shapes[m].has_value());
    EXPECT_FALSE(found.shapes[m]->with_invperm);
    const bool moe = measurement.modules[m].key.ends_with("block_sparse_moe");
    EXPECT_EQ(found.shapes[m]->experts, moe ? 8 : 1);
  }
}

// Every total_bits of both files, 2,304 in all, from the shapes and the formula.
TEST(ModuleShapes, ReproduceEveryOptionOfBothFiles) {
  std::int64_t equal = 0;
  for (const char* name : {kMistral, kMixtral}) {
    SKIP_WITHOUT_SHARED(name);
    const auto measurement = read_shared(name);
    const ModuleShapes found = find_module_shapes(measurement);
    for (std::size_t m = 0; m < measurement.modules.size(); ++m) {
      for (const auto& option : measurement.modules[m].options) {
        const ModuleShape& shape = *found.shapes[m];
        std::int64_t bits = 0;
        for (std::size_t p = 0; p < option.projections.size(); ++p) {
          bits += *projection_bits(option.projections[p].second, shape.rows[p], shape.cols[p],
                                   shape.with_invperm);
        }
        equal += bits * shape.experts == option.total_bits ? 1 : 0;
      }
    }
  }
  EXPECT_EQ(equal, 2 * 32 * (19 + 17));
}

TEST(ModuleShapes, SaysWhereNoShapeFits) {
  SKIP_WITHOUT_SHARED(kMistral);
  auto measurement = read_shared(kMistral);
  measurement.modules[1].options[3].total_bits += 1;
  const ModuleShapes found = find_module_shapes(measurement);
  EXPECT_FALSE(found.shapes[1].has_value());
  EXPECT_TRUE(found.shapes[3].has_value());
  ASSERT_EQ(found.remarks.size(), 1u);
  EXPECT_NE(found.remarks[0].find("model.layers.0.mlp"), std::string::npos);
}

TEST(Modules2024, AreSolvedWithoutGap) {
  for (const char* name : {kMistral, kMixtral}) {
    SKIP_WITHOUT_SHARED(name);
    auto measurement = read_shared(name);
    AllocationInput input = input_of(measurement);
    for (AllocationLayer& layer : input.layers) layer.sensitivity = 1.0;
    for (const std::string& objective : objective_names()) {
      AllocationRequest request;
      request.budget = Budget::bits_per_weight(3.5);
      request.objective = objective;
      const Allocation allocation = allocate(input, request);
      EXPECT_LE(allocation.plan.max_err, 1.0);
      if (objective == "exl2-2023") continue;
      EXPECT_EQ(allocation.plan.status, "proved") << objective;
      EXPECT_EQ(allocation.plan.gap, 0.0) << objective;
      mark_choices(allocation, measurement);
      for (std::size_t m = 0, l = 0; m < measurement.modules.size(); ++m) {
        if (measurement.modules[m].options.empty()) continue;
        ASSERT_EQ((*measurement.strategy)[m], allocation.choices[l++]);
      }
    }
  }
}

// Parts small enough for the general solvers, which stop at their own tolerances.
void compare_with(const char* program,
                  std::optional<tests::ExternalResult> (*solve)(const solver::ChoiceProblem&,
                                                                int)) {
  if (!tests::has_program(program)) GTEST_SKIP() << program << " is not installed";
  for (const char* name : {kMistral, kMixtral}) {
    SKIP_WITHOUT_SHARED(name);
    const AllocationInput input = input_of(read_shared(name));
    for (const double share : {0.05, 0.2, 0.5}) {
      const auto problem = first_modules(input, 10, share);
      const auto ours = solver::solve(problem);
      EXPECT_EQ(ours.status, solver::SolveStatus::proved);
      const auto theirs = solve(problem, 60);
      ASSERT_TRUE(theirs.has_value()) << program;
      EXPECT_TRUE(theirs->proved) << program;
      // CBC prints eight decimals.
      EXPECT_NEAR(ours.total_loss, theirs->loss, 1e-7 * ours.total_loss + 1e-8)
          << name << " " << share;
    }
  }
}

TEST(Modules2024, AgreeWithGlpk) {
  compare_with("glpsol", tests::solve_with_glpk);
}

TEST(Modules2024, AgreeWithCbc) {
  compare_with("cbc", tests::solve_with_cbc);
}

}  // namespace
}  // namespace shardquant::allocation
