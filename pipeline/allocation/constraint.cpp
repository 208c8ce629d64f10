#include "pipeline/allocation/constraint.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::allocation {

std::string_view constraint_name(Constraint::Kind kind) {
  switch (kind) {
    case Constraint::Kind::pin:
      return "pin";
    case Constraint::Kind::floor:
      return "floor";
    case Constraint::Kind::ceiling:
      return "ceiling";
    case Constraint::Kind::tie:
      return "tie";
    case Constraint::Kind::tie_all:
      return "tie_all";
  }
  return "";
}

std::string Constraint::text() const {
  const std::string head = fmt::format("{} {}", constraint_name(kind), pattern);
  switch (kind) {
    case Kind::pin:
      return head + "=" + option;
    case Kind::floor:
    case Kind::ceiling:
      return fmt::format("{}={}", head, bpw);
    default:
      return head;
  }
}

Constraint parse_constraint(Constraint::Kind kind, std::string_view text) {
  Constraint constraint;
  constraint.kind = kind;
  if (kind == Constraint::Kind::tie || kind == Constraint::Kind::tie_all) {
    constraint.pattern = text;
    return constraint;
  }
  const std::size_t separator = text.rfind('=');
  if (separator == std::string_view::npos || separator + 1 == text.size()) {
    fail(ExitCode::config, "{} {}: give PATTERN={}", constraint_name(kind), text,
         kind == Constraint::Kind::pin ? "OPTION" : "BITS_PER_WEIGHT");
  }
  constraint.pattern = text.substr(0, separator);
  const std::string_view value = text.substr(separator + 1);
  if (kind == Constraint::Kind::pin) {
    constraint.option = value;
    return constraint;
  }
  const char* end = value.data() + value.size();
  const auto result = std::from_chars(value.data(), end, constraint.bpw);
  if (result.ec != std::errc{} || result.ptr != end || !std::isfinite(constraint.bpw) ||
      constraint.bpw < 0.0) {
    fail(ExitCode::config, "{} {}: {} is no number of bits per weight", constraint_name(kind), text,
         value);
  }
  return constraint;
}

LayerWeights read_layer_weights(const std::filesystem::path& file) {
  constexpr double kMaxWeight = 1e100;
  const formats::JsonText json = formats::JsonText::read(file);
  const formats::JsonNode root = json.root();
  if (!root.is_object()) root.refuse("must be an object: pattern -> weight");
  LayerWeights weights;
  for (std::int64_t i = 0; i < root.size(); ++i) {
    weights.push_back({root.member_name(i), root.member(i).as_number(0.0, kMaxWeight)});
  }
  return weights;
}

}  // namespace shardquant::allocation
