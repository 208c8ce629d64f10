#include "pipeline/records/measurement_json.hpp"

#include <algorithm>
#include <optional>

#include "pipeline/records/python_number.hpp"

namespace shardquant::records {

namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_known_word(std::string_view word) {
  return word == "true" || word == "false" || word == "null" || word == "e" || word == "E";
}

// Where a word that is no JSON stands, as "measurement[3].options[7].err: NaN"; follows the
// nesting of the text without asking whether it is well formed.
class ForeignWordFinder {
 public:
  explicit ForeignWordFinder(std::string_view text) : text_(text) {}

  std::optional<std::string> find() {
    for (std::size_t i = 0; i < text_.size(); ++i) {
      const char c = text_[i];
      if (c == '"') {
        i = take_string(i);
      } else if (c == '{' || c == '[') {
        open_.push_back({c == '['});
      } else if ((c == '}' || c == ']') && !open_.empty()) {
        open_.pop_back();
      } else if (c == ',' && !open_.empty()) {
        ++open_.back().index;
      } else if (is_letter(c)) {
        std::size_t end = i;
        while (end < text_.size() && is_letter(text_[end])) ++end;
        const std::string_view word = text_.substr(i, end - i);
        if (!is_known_word(word)) return path() + ": " + std::string(word.substr(0, 16));
        i = end - 1;
      }
    }
    return std::nullopt;
  }

 private:
  struct Level {
    bool is_list = false;
    std::int64_t index = 0;
    std::string_view name = {};
  };

  // Returns the place of the closing quote.
  std::size_t take_string(std::size_t begin) {
    std::size_t end = begin + 1;
    while (end < text_.size() && text_[end] != '"') end += text_[end] == '\\' ? 2 : 1;
    end = std::min(end, text_.size());
    if (!open_.empty()) open_.back().name = text_.substr(begin + 1, end - begin - 1);
    return end;
  }

  std::string path() const {
    std::string path;
    for (const Level& level : open_) {
      if (level.is_list) {
        path += '[' + std::to_string(level.index) + ']';
      } else {
        path += (path.empty() ? "" : ".") + std::string(level.name.substr(0, 80));
      }
    }
    return path;
  }

  std::string_view text_;
  std::vector<Level> open_;
};

std::string text_of(const formats::JsonNode& node) {
  if (node.is_null()) return "null";
  if (node.is_bool()) return node.as_bool() ? "true" : "false";
  if (node.is_integer()) return std::to_string(node.as_integer(INT64_MIN, INT64_MAX));
  if (node.is_number()) return python_number(node.as_number(-1e308, 1e308));
  if (node.is_string()) return formats::json_quote(node.as_string());
  std::string text = node.is_array() ? "[" : "{";
  for (std::int64_t i = 0; i < node.size(); ++i) {
    if (i > 0) text += ", ";
    if (node.is_array()) {
      text += text_of(node.at(i));
    } else {
      text += formats::json_quote(node.member_name(i)) + ": " + text_of(node.member(i));
    }
  }
  return text + (node.is_array() ? "]" : "}");
}

}  // namespace

formats::JsonText parse_measurement_json(std::string_view text, const std::string& name) {
  try {
    return formats::JsonText::parse(text, name, {.bytes = kMaxMeasurementBytes});
  } catch (const Failure& failure) {
    const auto word = ForeignWordFinder(text).find();
    if (!word) throw;
    throw Failure(failure.code(),
                  fmt::format("{}; {}", failure.what(), formats::json_quote(*word)));
  }
}

std::vector<int> parse_bits(const formats::JsonNode& node) {
  if (!node.is_array() || node.size() < 1 || node.size() > 8) {
    node.refuse("must be a list of 1 to 8 bit widths");
  }
  std::vector<int> bits;
  for (std::int64_t i = 0; i < node.size(); ++i) {
    bits.push_back(static_cast<int>(node.at(i).as_integer(1, 16)));
  }
  return bits;
}

std::vector<double> parse_proportions(const formats::JsonNode& node, std::size_t count) {
  if (!node.is_array() || node.size() != static_cast<std::int64_t>(count)) {
    node.refuse(fmt::format("must be a list of {} proportions, one per bit width", count));
  }
  std::vector<double> proportions;
  for (std::int64_t i = 0; i < node.size(); ++i) {
    proportions.push_back(node.at(i).as_number(0.0, 1.0));
  }
  return proportions;
}

std::map<std::string, std::string> other_members(const formats::JsonNode& object,
                                                 std::initializer_list<std::string_view> known) {
  std::map<std::string, std::string> members;
  for (std::int64_t i = 0; i < object.size(); ++i) {
    const std::string& name = object.member_name(i);
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    members[name] = text_of(object.member(i));
  }
  return members;
}

}  // namespace shardquant::records
