#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::records {

struct Measurement;
struct Measurement2024;

// What both measurement schemas share: bounds, and how their parts are read and written.

inline constexpr std::int64_t kMaxMeasurementBytes = std::int64_t{1} << 30;
inline constexpr std::int64_t kMaxNumel = std::int64_t{1} << 50;
inline constexpr std::int64_t kMaxModules = 1'000'000;
inline constexpr std::int64_t kMaxGroupSize = 65536;
inline constexpr double kMaxBpw = 64.0;
inline constexpr double kMaxLayerBits = 0x1p52;  ///< sums of 1000 layers stay below 2^62

/// formats::JsonText::parse; where the text is refused for a word that is no JSON, such as the NaN
/// that Python writes, the message also names the field it stands in.
/// @throws Failure(bad_data)
formats::JsonText parse_measurement_json(std::string_view text, const std::string& name);

/// parse_measurement_2023 and parse_measurement_2024 of a text that is parsed already.
Measurement measurement_2023_of(const formats::JsonNode& root);
Measurement2024 measurement_2024_of(const formats::JsonNode& root);

/// The list of bit widths of a recipe: 1 to 8 of them, each 1 to 16. @throws Failure(bad_data)
std::vector<int> parse_bits(const formats::JsonNode& node);

/// The list of proportions of a recipe: `count` numbers in [0, 1]. @throws Failure(bad_data)
std::vector<double> parse_proportions(const formats::JsonNode& node, std::size_t count);

/// Members of an object other than `known`, each as JSON text.
std::map<std::string, std::string> other_members(const formats::JsonNode& object,
                                                 std::initializer_list<std::string_view> known);

/// Calls `parse` and adds the layer's key to the text of a Failure, whose path only has indices.
template <class Parse>
auto naming_layer(const std::string& key, Parse parse) {
  try {
    return parse();
  } catch (const Failure& failure) {
    throw Failure(failure.code(),
                  fmt::format("{} (layer {})", failure.what(), formats::json_quote(key)));
  }
}

/// Appends a list with one item a line, as Python's json.dumps with an indent of 4 has it; `depth`
/// is the nesting of the list itself.
template <class Item, class ToText>
void append_list(std::string& text, int depth, const std::vector<Item>& items, ToText to_text) {
  const std::string indent(static_cast<std::size_t>(depth) * 4, ' ');
  text += "[";
  for (std::size_t i = 0; i < items.size(); ++i) {
    text += i == 0 ? "\n" : ",\n";
    text += indent + "    " + to_text(items[i]);
  }
  text += "\n" + indent + "]";
}

}  // namespace shardquant::records
