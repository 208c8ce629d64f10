#include "pipeline/allocation/frontier.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/records/python_number.hpp"

namespace shardquant::allocation {

namespace {

constexpr double kDecimals = 1e9;
constexpr double kMaxValues = 10'000;

[[noreturn]] void refuse(std::string_view text) {
  fail(ExitCode::config,
       "frontier {}: give FIRST:LAST:STEP in bits per weight, as 2.2:6.0:0.1, of at most {} values",
       text, kMaxValues);
}

// Name and text of every figure of a point, in the order of the columns.
std::vector<std::pair<std::string, std::string>> figures(const FrontierPoint& point) {
  const records::Plan& plan = point.plan;
  const auto number = [](double value) { return records::python_number(value); };
  const auto optional = [&](const std::optional<double>& value) {
    return value ? number(*value) : std::string();
  };
  return {{"asked_bpw", number(point.asked_bpw)},
          {"budget_bits", std::to_string(plan.budget_bits)},
          {"total_bits", std::to_string(plan.total_bits)},
          {"bpw", number(plan.bpw())},
          {"objective_value", number(plan.objective_value)},
          {"lower_bound", optional(plan.lower_bound)},
          {"gap", optional(plan.gap)},
          {"sum_err", number(plan.sum_err)},
          {"max_err", number(plan.max_err)},
          {"status", plan.status}};
}

}  // namespace

std::vector<double> parse_frontier(std::string_view text) {
  std::array<double, 3> parts{};
  const char* place = text.data();
  const char* end = text.data() + text.size();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto result = std::from_chars(place, end, parts[i]);
    const bool last = i + 1 == parts.size();
    if (result.ec != std::errc{} || (result.ptr == end) != last) refuse(text);
    if (!last && *result.ptr != ':') refuse(text);
    place = result.ptr + (last ? 0 : 1);
  }
  const auto [first, last, step] = parts;
  const double values = std::floor((last - first) / step + 1.0 / kDecimals) + 1.0;
  if (!(step > 0.0) || !(first > 0.0) || !(values >= 1.0) || values > kMaxValues) refuse(text);
  std::vector<double> bpw;
  for (int i = 0; i < static_cast<int>(values); ++i) {
    bpw.push_back(std::round((first + i * step) * kDecimals) / kDecimals);
  }
  return bpw;
}

std::vector<FrontierPoint> allocate_frontier(const AllocationInput& input,
                                             const AllocationRequest& request,
                                             const std::vector<double>& bpw) {
  std::vector<FrontierPoint> points;
  AllocationRequest at_point = request;
  for (const double value : bpw) {
    at_point.budget = Budget::bits_per_weight(value);
    points.push_back({value, allocate(input, at_point).plan});
  }
  return points;
}

std::string frontier_json(const std::vector<FrontierPoint>& points, const std::string& objective,
                          const std::string& measurement_hash) {
  std::string text =
      fmt::format("{{\n  \"objective\": {},\n  \"measurement_hash\": {},\n",
                  formats::json_quote(objective), formats::json_quote(measurement_hash));
  text += "  \"points\": [";
  for (std::size_t i = 0; i < points.size(); ++i) {
    text += i == 0 ? "\n    {" : ",\n    {";
    const char* separator = "";
    for (const auto& [name, value] : figures(points[i])) {
      const bool is_text = name == "status";
      text += fmt::format("{}\"{}\": {}", separator, name,
                          is_text         ? formats::json_quote(value)
                          : value.empty() ? "null"
                                          : value);
      separator = ", ";
    }
    text += "}";
  }
  return text + "\n  ]\n}\n";
}

std::string frontier_csv(const std::vector<FrontierPoint>& points) {
  std::string text;
  for (const FrontierPoint& point : points) {
    std::string names;
    std::string values;
    for (const auto& [name, value] : figures(point)) {
      names += (names.empty() ? "" : ",") + name;
      values += (values.empty() ? "" : ",") + value;
    }
    if (text.empty()) text = names + "\n";
    text += values + "\n";
  }
  return text;
}

}  // namespace shardquant::allocation
