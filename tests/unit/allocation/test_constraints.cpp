#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "pipeline/allocation/allocate.hpp"
#include "pipeline/allocation/choice_groups.hpp"
#include "pipeline/allocation/layer_name.hpp"
#include "pipeline/allocation/layer_pattern.hpp"
#include "tests/oracle/brute_force_choice.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/formats/expect_refusal.hpp"
#include "tests/unit/solver/random_problem.hpp"

namespace shardquant::allocation {
namespace {

using tests::expect_refusal;
using Kind = Constraint::Kind;

const std::vector<std::string> kDescs = {"a 32g", "b 32g", "c 64g", "d 128g", "e 32g"};

// Blocks of q, k and up; every layer has its own bits and errors.
AllocationInput random_input(tests::RandomProblems& random, int blocks) {
  AllocationInput input;
  input.name = "random.json";
  for (int b = 0; b < blocks; ++b) {
    for (const char* part : {"self_attn.q_proj", "self_attn.k_proj", "mlp.up_proj"}) {
      AllocationLayer& layer = input.layers.emplace_back();
      layer.key = "model.layers." + std::to_string(b) + "." + part;
      layer.numel = 1000 * random.integer(1, 4);
      for (std::size_t i = 0; i < kDescs.size(); ++i) {
        // Now and then an option does not exist for a layer.
        if (layer.options.size() >= 2 && random.integer(0, 9) == 0) continue;
        const auto bits = layer.numel * static_cast<std::int64_t>(i + 2) + random.integer(0, 400);
        layer.options.push_back({kDescs[i], bits, 0.5 * random.real(), 0.0, bits});
      }
    }
  }
  return input;
}

std::vector<Constraint> random_constraints(tests::RandomProblems& random) {
  const std::vector<std::string> patterns = {"*",
                                             "*q_proj",
                                             "*.1.*",
                                             "re:self_attn\\.[qk]_proj$",
                                             "re:layers\\.[02]\\.",
                                             "model.layers.?.mlp.*"};
  std::vector<Constraint> constraints;
  const std::int64_t count = random.integer(1, 3);
  for (std::int64_t i = 0; i < count; ++i) {
    Constraint constraint;
    constraint.kind = static_cast<Kind>(random.integer(0, 4));
    constraint.pattern = patterns[random.integer(0, std::ssize(patterns) - 1)];
    constraint.option = kDescs[random.integer(0, std::ssize(kDescs) - 1)];
    constraint.bpw = static_cast<double>(random.integer(20, 60)) / 10.0;
    constraints.push_back(constraint);
  }
  return constraints;
}

// The meaning of a constraint, with none of the allocation's code but patterns.
class Requirement {
 public:
  Requirement(const AllocationInput& input, const Constraint& constraint)
      : input_(input), constraint_(constraint) {
    const LayerPattern pattern(constraint.pattern);
    for (std::size_t l = 0; l < input.layers.size(); ++l) {
      if (pattern.matches(input.layers[l].key)) matched_.push_back(l);
    }
  }

  bool holds(const std::vector<int>& choices) const {
    std::map<std::string, std::string> tied;
    for (const std::size_t l : matched_) {
      const AllocationLayer& layer = input_.layers[l];
      const AllocationOption& option = layer.options[choices[l]];
      const double bpw = static_cast<double>(option.bits) / static_cast<double>(layer.numel);
      if (constraint_.kind == Kind::pin && option.desc != constraint_.option) return false;
      if (constraint_.kind == Kind::floor && bpw < constraint_.bpw) return false;
      if (constraint_.kind == Kind::ceiling && bpw > constraint_.bpw) return false;
      const bool tie = constraint_.kind == Kind::tie;
      if (!tie && constraint_.kind != Kind::tie_all) continue;
      const std::string block = tie ? layer.key.substr(0, layer.key.find('.', 13)) : "";
      if (tied.try_emplace(block, option.desc).first->second != option.desc) return false;
    }
    return true;
  }

 private:
  const AllocationInput& input_;
  const Constraint& constraint_;
  std::vector<std::size_t> matched_;
};

solver::ChoiceProblem plain_problem(const AllocationInput& input, std::int64_t budget) {
  solver::ChoiceProblem problem;
  problem.budget_bits = budget;
  for (const AllocationLayer& layer : input.layers) {
    auto& group = problem.groups.emplace_back();
    for (const AllocationOption& option : layer.options) group.push_back({option.bits, option.err});
  }
  return problem;
}

// 200 instances with one to three constraints, against all choices that satisfy them.
TEST(Constraints, FindTheBestOfTheChoicesThatSatisfyThem) {
  tests::RandomProblems random(99);
  int solved = 0;
  int impossible = 0;
  for (int i = 0; i < 200; ++i) {
    SCOPED_TRACE(testing::Message() << "instance " << i);
    const AllocationInput input = random_input(random, 2);
    AllocationRequest request;
    request.constraints = random_constraints(random);
    const std::int64_t bits = input.numel() * random.integer(20, 70) / 10;
    request.budget = Budget::total_bits(bits);
    std::vector<Requirement> requirements;
    for (const Constraint& constraint : request.constraints) {
      requirements.emplace_back(input, constraint);
    }
    const auto all_hold = [&](const std::vector<int>& choices) {
      return std::all_of(requirements.begin(), requirements.end(),
                         [&](const Requirement& r) { return r.holds(choices); });
    };
    const auto best = tests::brute_force_choice(plain_problem(input, bits), all_hold);
    try {
      const Allocation allocation = allocate(input, request);
      ASSERT_TRUE(best.has_value());
      EXPECT_NEAR(allocation.plan.objective_value, best->loss, 1e-12);
      EXPECT_EQ(allocation.plan.status, "proved");
      EXPECT_TRUE(all_hold(allocation.choices));
      ++solved;
    } catch (const Failure& failure) {
      EXPECT_FALSE(best.has_value()) << failure.what();
      EXPECT_EQ(failure.code(), ExitCode::config) << failure.what();
      ++impossible;
    }
  }
  EXPECT_GT(solved, 50);
  EXPECT_GT(impossible, 20);
}

TEST(Constraints, NameThoseThatCannotHoldTogether) {
  tests::RandomProblems random(1);
  const AllocationInput input = random_input(random, 2);
  AllocationRequest request;
  request.budget = Budget::bits_per_weight(100.0);
  request.constraints = {parse_constraint(Kind::floor, "*.0.*=5.5"),
                         parse_constraint(Kind::floor, "*=2"),
                         parse_constraint(Kind::ceiling, "*.self_attn.q_proj=3")};
  expect_refusal([&] { allocate(input, request); }, ExitCode::config,
                 {"cannot hold together", "model.layers.0.self_attn.q_proj", "floor *.0.*=5.5",
                  "ceiling *.self_attn.q_proj=3"});
  request.constraints = {parse_constraint(Kind::pin, "*.0.*q_proj=#0"),
                         parse_constraint(Kind::pin, "*.1.*q_proj=#1"),
                         parse_constraint(Kind::tie_all, "*q_proj")};
  expect_refusal([&] { allocate(input, request); }, ExitCode::config,
                 {"pin *.0.*q_proj=#0", "pin *.1.*q_proj=#1", "tie_all *q_proj"});
}

TEST(Constraints, RefuseWhatMatchesNothingOrDoesNotExist) {
  tests::RandomProblems random(1);
  const AllocationInput input = random_input(random, 2);
  AllocationRequest request;
  request.budget = Budget::bits_per_weight(100.0);
  request.constraints = {parse_constraint(Kind::floor, "*.experts.*=3")};
  expect_refusal([&] { allocate(input, request); }, ExitCode::config,
                 {"floor *.experts.*=3", "matches none", "model.layers.0.self_attn.q_proj"});
  request.constraints = {parse_constraint(Kind::pin, "*=1.0:9b 32g s4")};
  expect_refusal([&] { allocate(input, request); }, ExitCode::config, {"no such option", "a 32g"});
  request.constraints = {parse_constraint(Kind::pin, "*=#99")};
  expect_refusal([&] { allocate(input, request); }, ExitCode::config, {"no such option"});
}

TEST(Constraints, CountUnderAnUnreachableBudget) {
  tests::RandomProblems random(1);
  const AllocationInput input = random_input(random, 2);
  AllocationRequest request;
  request.budget = Budget::bits_per_weight(3.0);
  request.constraints = {parse_constraint(Kind::floor, "*=3.9")};
  expect_refusal([&] { allocate(input, request); }, ExitCode::config,
                 {"cannot be reached under the constraints", "smallest reachable value is 4."});
}

TEST(Constraints, AreParsed) {
  const Constraint pin = parse_constraint(Kind::pin, "re:(?=x)y=0.05:3b/0.95:2b 32g s4");
  EXPECT_EQ(pin.pattern, "re:(?=x)y");
  EXPECT_EQ(pin.option, "0.05:3b/0.95:2b 32g s4");
  EXPECT_EQ(pin.text(), "pin re:(?=x)y=0.05:3b/0.95:2b 32g s4");
  EXPECT_EQ(parse_constraint(Kind::floor, "a=4.25").bpw, 4.25);
  EXPECT_EQ(parse_constraint(Kind::tie, "a=b").pattern, "a=b");
  for (const char* text : {"a", "a=", "a=x", "a=nan", "a=-1", "a=1e999", "a=4 "}) {
    expect_refusal([&] { parse_constraint(Kind::ceiling, text); }, ExitCode::config, {text});
  }
}

TEST(Weights, ScaleTheErrorOfTheLayersTheyMatch) {
  tests::RandomProblems random(4);
  const AllocationInput input = random_input(random, 2);
  const tests::TempDirectory folder;
  const auto file = folder.path() / "weights.json";
  std::ofstream(file) << R"({"*": 2.0, "re:q_proj$": 5, "model.layers.1.self_attn.q_proj": 0})";
  AllocationRequest request;
  request.budget = Budget::bits_per_weight(4.0);
  request.objective = "weighted";
  request.weights = read_layer_weights(file);
  const Allocation allocation = allocate(input, request);

  solver::ChoiceProblem problem = plain_problem(input, budget_bits(request.budget, input));
  for (std::size_t l = 0; l < input.layers.size(); ++l) {
    double weight = input.layers[l].key.ends_with("q_proj") ? 5.0 : 2.0;
    if (input.layers[l].key == "model.layers.1.self_attn.q_proj") weight = 0.0;
    for (solver::Choice& choice : problem.groups[l]) choice.loss *= weight;
  }
  EXPECT_NEAR(allocation.plan.objective_value, tests::brute_force_choice(problem)->loss, 1e-12);

  request.objective = "sum";
  expect_refusal([&] { allocate(input, request); }, ExitCode::config, {"weighted"});
  std::ofstream(file) << R"({"*": -1})";
  expect_refusal([&] { read_layer_weights(file); }, ExitCode::bad_data, {"-1"});
  request.objective = "weighted";
  request.weights = {{"nothing", 1.0}};
  expect_refusal([&] { allocate(input, request); }, ExitCode::config, {"weight nothing"});
}

TEST(Weights, AreTheSharesOfTheLayersWhereNoneAreGiven) {
  AllocationInput input;
  input.layers = {{"a", 300, {{"x", 10, 0.5, 0.0, 10}}}, {"b", 100, {{"x", 10, 0.1, 0.0, 10}}}};
  AllocationRequest request;
  request.budget = Budget::total_bits(100);
  request.objective = "weighted";
  EXPECT_NEAR(allocate(input, request).plan.objective_value, 0.75 * 0.5 + 0.25 * 0.1, 1e-15);
}

TEST(LayerPattern, GlobsMatchTheWholeKey) {
  const auto matches = [](const std::string& pattern, const std::string& key) {
    return LayerPattern(pattern).matches(key);
  };
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("*q_proj", "model.layers.0.self_attn.q_proj"));
  EXPECT_FALSE(matches("q_proj", "model.layers.0.self_attn.q_proj"));
  EXPECT_TRUE(matches("model.layers.?.*", "model.layers.0.x"));
  EXPECT_FALSE(matches("model.layers.?.*", "model.layers.10.x"));
  EXPECT_TRUE(matches("model.layers.[0-3].*", "model.layers.2.x"));
  EXPECT_FALSE(matches("model.layers.[!0-3].*", "model.layers.2.x"));
  EXPECT_TRUE(matches("a*b*c", "aXbbYbZc"));
  EXPECT_FALSE(matches("a*b*c", "aXbbYbZ"));
  EXPECT_TRUE(matches("[]x]", "]"));
  // A pattern with many stars takes no exponential time.
  EXPECT_FALSE(matches("*a*a*a*a*a*a*a*a*a*a*a*a*b", std::string(5000, 'a')));
}

TEST(LayerPattern, ExpressionsMatchAnywhere) {
  EXPECT_TRUE(LayerPattern("re:layers\\.[0-3]\\.").matches("model.layers.2.x"));
  EXPECT_TRUE(LayerPattern("re:q_proj$").matches("a.q_proj"));
  EXPECT_FALSE(LayerPattern("re:^q_proj").matches("a.q_proj"));
  expect_refusal([] { LayerPattern("re:["); }, ExitCode::config, {"re:["});
  expect_refusal([] { LayerPattern("a[b"); }, ExitCode::config, {"a[b"});
  expect_refusal([] { LayerPattern(""); }, ExitCode::config, {"empty"});
}

TEST(LayerName, SplitsAtTheFirstNumber) {
  const LayerName name = split_layer_key("model.layers.12.mlp.experts.3.w1");
  EXPECT_EQ(name.block, "model.layers.12");
  EXPECT_EQ(name.index, 12);
  EXPECT_EQ(name.part, "mlp.experts.3.w1");
  EXPECT_EQ(split_layer_key("lm_head").part, "lm_head");
  EXPECT_FALSE(split_layer_key("lm_head").index.has_value());
  EXPECT_EQ(split_layer_key("model.layers.7").part, "");
}

}  // namespace
}  // namespace shardquant::allocation
