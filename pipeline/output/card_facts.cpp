#include "pipeline/output/card_facts.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "pipeline/failure.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/folder_files.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/formats/model_directory.hpp"

namespace shardquant::output {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostBytes = std::int64_t{1} << 24;

// The text of a file of the folder; empty where it is missing, too long or unreadable.
std::string text_of(const fs::path& source, std::string_view name) {
  try {
    return formats::read_text_file(source / name, kMostBytes);
  } catch (const Failure&) {
    return "";
  }
}

// Names of the Hub: letters, digits, '.', '_' and '-', one '/'.
bool is_hub_name(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size()) return false;
  const auto is_plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  };
  const auto owner = text.substr(0, slash), name = text.substr(slash + 1);
  return text.size() <= 200 && owner.front() != '.' && name.front() != '.' &&
         std::all_of(owner.begin(), owner.end(), is_plain) &&
         std::all_of(name.begin(), name.end(), is_plain);
}

// A string of a JSON object; empty where there is none.
std::string string_in(const std::string& json, const char* key, const std::string& name) {
  try {
    const auto text = formats::JsonText::parse(json, name);
    const auto value = text.root().is_object() ? text.root().find(key) : std::nullopt;
    return value && value->is_string() ? value->as_string() : "";
  } catch (const Failure&) {
    return "";
  }
}

// Values that stand for themselves in YAML: no quotes, no comment, one line.
bool is_plain_value(std::string_view text) {
  constexpr std::string_view kAlso = "._-/:+";
  return !text.empty() && text.size() <= 200 && std::all_of(text.begin(), text.end(), [&](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           kAlso.find(c) != std::string_view::npos;
  });
}

// The lines about the license in the metadata between two lines "---" at the top of a card.
std::string license_lines(const std::string& card) {
  std::string lines;
  if (!card.starts_with("---\n")) return lines;
  for (std::size_t at = 4; at < card.size();) {
    const std::size_t end = std::min(card.find('\n', at), card.size());
    const std::string line = card.substr(at, end - at);
    at = end + 1;
    if (line == "---") return lines;
    for (const std::string_view key : {"license: ", "license_name: ", "license_link: "}) {
      if (line.starts_with(key) && is_plain_value(std::string_view(line).substr(key.size()))) {
        lines += line + '\n';
      }
    }
  }
  return "";  // the metadata has no end
}

struct PromptFormat {
  std::string_view mark;  // in the chat template
  std::string_view text;
};

constexpr std::array kPromptFormats = {
    PromptFormat{
        "<|start_header_id|>",
        "Llama 3: "
        "`<|start_header_id|>user<|end_header_id|>\\n\\n{prompt}<|eot_id|><|start_header_id|"
        ">assistant<|end_header_id|>\\n\\n`"},
    PromptFormat{"<|im_start|>",
                 "ChatML: `<|im_start|>user\\n{prompt}<|im_end|>\\n<|im_start|>assistant\\n`"},
    PromptFormat{"[INST]", "Mistral: `[INST] {prompt} [/INST]`"},
};

std::string prompt_format(const fs::path& source) {
  constexpr const char* kConfig = "tokenizer_config.json";
  std::string chat = text_of(source, "chat_template.jinja");
  if (chat.empty()) chat = string_in(text_of(source, kConfig), "chat_template", kConfig);
  if (chat.empty()) return "none: the model comes without a chat template";
  for (const PromptFormat& format : kPromptFormats) {
    if (chat.find(format.mark) != std::string::npos) {
      return std::string(format.text) + ", as the chat template has it";
    }
  }
  return "that of the chat template beside the weights";
}

}  // namespace

CardFacts read_card_facts(const fs::path& source, const std::string& config_text) {
  CardFacts facts;
  for (const std::string& name :
       {formats::model_name(source), string_in(config_text, "_name_or_path", "config.json")}) {
    if (facts.base_model.empty() && is_hub_name(name)) facts.base_model = name;
  }
  facts.license = license_lines(text_of(source, formats::kModelCardName));
  facts.prompt_format = prompt_format(source);
  return facts;
}

}  // namespace shardquant::output
