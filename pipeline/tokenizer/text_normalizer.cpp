#include "pipeline/tokenizer/text_normalizer.hpp"

#include <algorithm>

#include "pipeline/failure.hpp"
#include "pipeline/tokenizer/step_list.hpp"
#include "pipeline/tokenizer/tokenizer.hpp"

namespace shardquant::tokenizer {

namespace {

constexpr std::size_t kMostContentBytes = 4096;

const std::string& short_text(const formats::JsonNode& node) {
  const std::string& text = node.as_string();
  if (text.size() > kMostContentBytes) {
    node.refuse(fmt::format("{} bytes; at most {} are accepted", text.size(), kMostContentBytes));
  }
  return text;
}

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
// Of C++20 itself, but not of Clang 14, which builds the fuzzers.
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

// A file must not make much of little.
std::size_t most_bytes(const std::string& text) {
  return 64 * text.size() + 65536;
}

void require_length(const std::string& text, std::size_t most) {
  if (text.size() > most || static_cast<std::int64_t>(text.size()) > kMaxTextBytes) {
    fail(ExitCode::bad_data, "tokenizer.json: normalizer: makes more than {} bytes of a text",
         std::min(most, static_cast<std::size_t>(kMaxTextBytes)));
  }
}

}  // namespace

TextNormalizer::TextNormalizer(const formats::JsonNode& node, const std::string& file) {
  for_each_step(node, "normalizers", [&](const formats::JsonNode& step) { add_step(step, file); });
}

void TextNormalizer::add_step(const formats::JsonNode& node, const std::string& file) {
  const std::string& type = node.string("type");
  if (type == "Prepend") {
    steps_.emplace_back(Prepend{short_text(node.at("prepend"))});
  } else if (type == "Replace") {
    const formats::JsonNode pattern = node.at("pattern");
    const auto literal = pattern.is_string() ? pattern : pattern.find("String");
    steps_.emplace_back(Replace{SplitPattern::from_json(pattern, file),
                                literal ? literal->as_string() : "",
                                short_text(node.at("content"))});
  } else if (type == "NFC") {
    steps_.emplace_back(Form{NormalForm::nfc});
  } else if (type == "NFD") {
    steps_.emplace_back(Form{NormalForm::nfd});
  } else if (type == "NFKC") {
    steps_.emplace_back(Form{NormalForm::nfkc});
  } else if (type == "NFKD") {
    steps_.emplace_back(Form{NormalForm::nfkd});
  } else if (type == "Lowercase") {
    steps_.emplace_back(Lowercase{});
  } else if (type == "Strip") {
    steps_.emplace_back(
        Strip{node.boolean_or("strip_left", true), node.boolean_or("strip_right", true)});
  } else {
    node.at("type").refuse(fmt::format("{} is not supported", formats::json_quote(type)));
  }
}

void TextNormalizer::apply(std::string& text) {
  const std::size_t most = most_bytes(text);
  for (Step& step : steps_) {
    std::visit(Overloaded{[&](Prepend& prepend) {
                            if (!text.empty()) text.insert(0, prepend.text);
                          },
                          [&](Replace& replace) { text = replaced(replace, text, most); },
                          [&](Form& form) { text = normal_form(text, form.form); },
                          [&](Lowercase&) { text = lower_case(text); },
                          [&](Strip& strip) {
                            if (strip.right) text.resize(trailing_space_start(text));
                            if (strip.left) text.erase(0, leading_space_bytes(text));
                          }},
               step);
    require_length(text, most);
  }
}

std::string TextNormalizer::replaced(Replace& step, const std::string& text, std::size_t most) {
  std::string result;
  result.reserve(text.size() + text.size() / 4);
  std::size_t done = 0;
  if (!step.literal.empty()) {
    for (std::size_t at; (at = text.find(step.literal, done)) != std::string::npos;) {
      result.append(text, done, at - done).append(step.content);
      done = at + step.literal.size();
      require_length(result, most);
    }
    return result.append(text, done);
  }
  for (std::size_t from = 0; from < text.size();) {
    const auto found = step.pattern.find(text, {0, text.size()}, from);
    if (!found) break;
    result.append(text, done, found->first - done).append(step.content);
    done = found->end;
    from = found->size() > 0 ? done : done + sequence_bytes(text[done]);
    require_length(result, most);
  }
  return result.append(text, done);
}

}  // namespace shardquant::tokenizer
