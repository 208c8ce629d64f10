#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "pipeline/chat/value.hpp"

namespace shardquant::chat {

/// A chat template: a program of Jinja 2 that makes one text of a list of messages, run as Hugging
/// Face's apply_chat_template runs it, with nothing but what the template itself brings: no file,
/// clock or network. `strftime_now` is not defined, so that templates take the date they have for
/// that case and the text depends on nothing else.
class ChatTemplate {
 public:
  /// `name` names the template in messages; `variables` are what it sees beside the messages, such
  /// as bos_token. @throws Failure(bad_data) naming line and what is malformed or not supported
  ChatTemplate(std::string_view source, std::string name, Map variables = {});

  /// The text of a list of messages, no prompt for an answer at its end.
  /// @throws Failure(bad_data) with the template's own complaint, or naming line and fault
  std::string render(const Value& messages) const;

 private:
  struct Program;
  std::shared_ptr<const Program> program_;
};

/// The template of a model folder: chat_template.jinja, or `chat_template` of tokenizer_config.json
/// (where it is a list, the one called "default"); nothing where there is none. The special tokens
/// of tokenizer_config.json and special_tokens_map.json are its variables.
/// @throws Failure as ChatTemplate and JsonText
std::optional<ChatTemplate> read_chat_template(const std::filesystem::path& folder);

}  // namespace shardquant::chat
