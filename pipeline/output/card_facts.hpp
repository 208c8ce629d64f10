#pragma once

#include <filesystem>
#include <string>

namespace shardquant::output {

/// What the card of a copy takes over from the folder of the model.
struct CardFacts {
  std::string base_model;     ///< OWNER/NAME of the Hub; empty where the folder does not tell
  std::string license;        ///< lines of the Hub's metadata, as "license: mit\n"; empty: not told
  std::string prompt_format;  ///< for people: "ChatML: `<|im_start|>user ...`"
};

/// Reads them from the folder's place in a hub cache or `_name_or_path` of config.json, the
/// metadata of README.md, and the chat template. What cannot be read is left empty.
CardFacts read_card_facts(const std::filesystem::path& source, const std::string& config_text);

}  // namespace shardquant::output
