#include "pipeline/records/plan_file.hpp"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include "pipeline/failure.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/records/measurement_json.hpp"
#include "pipeline/records/python_number.hpp"

namespace shardquant::records {

namespace {

constexpr std::int64_t kPlanVersion = 1;
constexpr std::int64_t kMaxPlanBytes = std::int64_t{1} << 28;
constexpr std::int64_t kMaxCount = std::int64_t{1} << 62;
constexpr double kMaxNumber = 1e308;

// The members of an object, one a line, in the order given.
class ObjectWriter {
 public:
  explicit ObjectWriter(int depth) : indent_(static_cast<std::size_t>(depth + 1) * 2, ' ') {}

  void raw(std::string_view name, std::string_view json) {
    text_ += text_.empty() ? "{\n" : ",\n";
    text_ += indent_ + formats::json_quote(name) + ": ";
    text_ += json;
  }
  void string(std::string_view name, std::string_view value) {
    raw(name, formats::json_quote(value));
  }
  void integer(std::string_view name, std::int64_t value) { raw(name, std::to_string(value)); }
  void number(std::string_view name, double value) { raw(name, python_number(value)); }

  std::string text() const { return text_.empty() ? "{}" : text_ + "\n" + indent_.substr(2) + "}"; }

 private:
  std::string indent_;
  std::string text_;
};

template <class Range, class ToText>
std::string inline_list(const Range& range, ToText to_text) {
  std::string text;
  for (const auto& item : range) text += (text.empty() ? "" : ", ") + to_text(item);
  return "[" + text + "]";
}

std::string recipe_text(const QParams& recipe) {
  return fmt::format(R"({{"group_size": {}, "bits": {}, "bits_prop": {}, "scale_bits": {}}})",
                     recipe.group_size,
                     inline_list(recipe.bits, [](int bits) { return std::to_string(bits); }),
                     inline_list(recipe.bits_prop, python_number), recipe.scale_bits);
}

QParams parse_recipe(const formats::JsonNode& node) {
  QParams recipe;
  recipe.group_size = static_cast<int>(node.integer("group_size", 1, kMaxGroupSize));
  recipe.bits = parse_bits(node.at("bits"));
  recipe.bits_prop = parse_proportions(node.at("bits_prop"), recipe.bits.size());
  recipe.scale_bits = static_cast<int>(node.integer("scale_bits", 1, 16));
  return recipe;
}

std::vector<std::string> parse_strings(const formats::JsonNode& node) {
  if (!node.is_array()) node.refuse("must be a list of strings");
  std::vector<std::string> strings;
  for (std::int64_t i = 0; i < node.size(); ++i) strings.push_back(node.at(i).as_string());
  return strings;
}

std::optional<double> optional_number(const formats::JsonNode& node, std::string_view name) {
  const auto found = node.find(name);
  if (!found) return std::nullopt;
  return found->as_number(-kMaxNumber, kMaxNumber);
}

std::optional<std::int64_t> optional_count(const formats::JsonNode& node, std::string_view name) {
  const auto found = node.find(name);
  if (!found) return std::nullopt;
  return found->as_integer(0, kMaxCount);
}

void parse_layers(const formats::JsonNode& root, Plan& plan) {
  const formats::JsonNode choices = root.at("choices");
  const formats::JsonNode details = root.at("layers");
  if (!choices.is_object()) choices.refuse("must be an object: layer -> option");
  if (!details.is_array() || details.size() != choices.size()) {
    details.refuse("must be a list with one entry per choice");
  }
  for (std::int64_t i = 0; i < choices.size(); ++i) {
    const formats::JsonNode detail = details.at(i);
    PlannedLayer layer;
    layer.key = choices.member_name(i);
    layer.desc = choices.member(i).as_string();
    if (!plan.recipes.empty() && !plan.recipes.contains(layer.desc)) {
      choices.member(i).refuse(formats::json_quote(layer.desc) + " is none of the recipes");
    }
    if (detail.string("key") != layer.key) {
      detail.at("key").refuse(
          fmt::format("is not {} as in choices", formats::json_quote(layer.key)));
    }
    layer.bits = detail.integer("bits", 1, kMaxCount);
    layer.err = detail.number("err", 0.0, 1.0);
    plan.layers.push_back(std::move(layer));
  }
}

void write_totals(const Plan& plan, ObjectWriter& object) {
  object.string("objective", plan.objective);
  object.string("status", plan.status);
  object.number("objective_value", plan.objective_value);
  if (plan.lower_bound) object.number("lower_bound", *plan.lower_bound);
  if (plan.gap) object.number("gap", *plan.gap);
  object.number("sum_err", plan.sum_err);
  object.number("max_err", plan.max_err);
  object.integer("numel", plan.numel);
  object.integer("budget_bits", plan.budget_bits);
  object.integer("total_bits", plan.total_bits);
  if (plan.numel > 0) object.number("bpw", plan.bpw());
  if (plan.stored_bits) object.integer("stored_bits", *plan.stored_bits);
  if (plan.folder_bytes) object.integer("folder_bytes", *plan.folder_bytes);
  if (plan.folder_budget_bytes) object.integer("folder_budget_bytes", *plan.folder_budget_bytes);
  object.string("measurement_hash", plan.measurement_hash);
  object.raw("constraints", inline_list(plan.constraints, formats::json_quote));
  object.raw("warnings", inline_list(plan.warnings, formats::json_quote));
}

}  // namespace

double Plan::bpw() const {
  return numel == 0 ? 0.0 : static_cast<double>(total_bits) / static_cast<double>(numel);
}

double Plan::stored_bpw() const {
  if (!stored_bits || numel == 0) return 0.0;
  return static_cast<double>(*stored_bits) / static_cast<double>(numel);
}

std::string plan_text(const Plan& plan) {
  ObjectWriter object(0);
  object.integer("shardquant_plan", kPlanVersion);
  write_totals(plan, object);

  ObjectWriter recipes(1);
  for (const auto& [desc, recipe] : plan.recipes) recipes.raw(desc, recipe_text(recipe));
  object.raw("recipes", recipes.text());

  ObjectWriter choices(1);
  std::string details;
  for (const PlannedLayer& layer : plan.layers) {
    choices.string(layer.key, layer.desc);
    details += fmt::format("{}\n    {{\"key\": {}, \"bits\": {}, \"err\": {}}}",
                           details.empty() ? "" : ",", formats::json_quote(layer.key), layer.bits,
                           python_number(layer.err));
  }
  object.raw("choices", choices.text());
  object.raw("layers", "[" + details + (details.empty() ? "]" : "\n  ]"));
  return object.text() + "\n";
}

Plan parse_plan(std::string_view text, const std::string& name) {
  const formats::JsonText json = formats::JsonText::parse(text, name, {.bytes = kMaxPlanBytes});
  const formats::JsonNode root = json.root();
  root.integer("shardquant_plan", kPlanVersion, kPlanVersion);
  Plan plan;
  plan.objective = root.string("objective");
  plan.status = root.string("status");
  plan.objective_value = root.number("objective_value", -kMaxNumber, kMaxNumber);
  plan.lower_bound = optional_number(root, "lower_bound");
  plan.gap = optional_number(root, "gap");
  plan.sum_err = root.number("sum_err", 0.0, kMaxNumber);
  plan.max_err = root.number("max_err", 0.0, 1.0);
  plan.numel = root.integer("numel", 0, kMaxCount);
  plan.budget_bits = root.integer("budget_bits", 0, kMaxCount);
  plan.total_bits = root.integer("total_bits", 0, kMaxCount);
  plan.stored_bits = optional_count(root, "stored_bits");
  plan.folder_bytes = optional_count(root, "folder_bytes");
  plan.folder_budget_bytes = optional_count(root, "folder_budget_bytes");
  plan.measurement_hash = root.string("measurement_hash");
  plan.constraints = parse_strings(root.at("constraints"));
  plan.warnings = parse_strings(root.at("warnings"));
  const formats::JsonNode recipes = root.at("recipes");
  if (!recipes.is_object()) recipes.refuse("must be an object: option -> recipe");
  for (std::int64_t i = 0; i < recipes.size(); ++i) {
    plan.recipes[recipes.member_name(i)] = parse_recipe(recipes.member(i));
  }
  parse_layers(root, plan);
  return plan;
}

Plan read_plan(const std::filesystem::path& file) {
  return parse_plan(formats::read_text_file(file, kMaxPlanBytes), file.string());
}

void write_plan(const std::filesystem::path& file, const Plan& plan, formats::Overwrite overwrite) {
  formats::write_file(file, plan_text(plan), overwrite);
}

std::string content_hash(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return fmt::format("xxh3-128:{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace shardquant::records
