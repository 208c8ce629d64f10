#include "pipeline/chat/chat_template.hpp"

#include <fmt/format.h>

#include <system_error>

#include "pipeline/chat/statement_parser.hpp"
#include "pipeline/chat/template_functions.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/file_handle.hpp"

namespace shardquant::chat {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostBytes = std::int64_t{4} << 20;
constexpr std::int64_t kMostJsonBytes = std::int64_t{64} << 20;
constexpr std::int64_t kMostRange = 100'000;

Value range(const Arguments& given) {
  const bool has_begin = given.values.size() > 1;
  const Value begin = has_begin ? given.get(0, "") : Value(0);
  const Value end = given.get(has_begin ? 1 : 0, "");
  const Value step = given.get(2, "", 1);
  if (!begin.integer() || !end.integer() || !step.integer() || *step.integer() == 0) {
    refuse_template("range wants integers");
  }
  List numbers;
  for (std::int64_t i = *begin.integer();
       *step.integer() > 0 ? i < *end.integer() : i > *end.integer(); i += *step.integer()) {
    if (std::ssize(numbers) == kMostRange) refuse_template("a range too long");
    numbers.emplace_back(i);
  }
  return numbers;
}

Value namespace_of(const Arguments& given) {
  Map members;
  if (!given.values.empty() && given.values.front().map() != nullptr) {
    members = *given.values.front().map();
  }
  for (const auto& [name, value] : given.named) put(members, name, value);
  return members;
}

[[noreturn]] Value raise(const Arguments& given) {
  refuse_template(given.get(0, "message").str());
}

// A token, or the content of what describes one.
void add_tokens(const fs::path& file, Map& variables) {
  std::error_code error;
  if (!fs::exists(file, error)) return;
  const auto json = formats::JsonText::read(file, {.bytes = kMostJsonBytes});
  for (std::int64_t i = 0; i < json.root().size(); ++i) {
    const std::string& name = json.root().member_name(i);
    const formats::JsonNode value = json.root().member(i);
    if (!name.ends_with("_token")) continue;
    if (value.is_string()) put(variables, name, value.as_string());
    if (value.is_object()) put(variables, name, value.string("content"));
  }
}

std::string template_in(const fs::path& config) {
  std::error_code error;
  if (!fs::exists(config, error)) return "";
  const auto json = formats::JsonText::read(config, {.bytes = kMostJsonBytes});
  const auto found = json.root().find("chat_template");
  if (!found) return "";
  if (found->is_string()) return found->as_string();
  for (std::int64_t i = 0; found->is_array() && i < found->size(); ++i) {
    if (found->at(i).string("name") == "default") return found->at(i).string("template");
  }
  found->refuse("no template called \"default\"");
}

}  // namespace

struct ChatTemplate::Program {
  std::string name;
  std::vector<Token> tokens;
  Map variables;
  Statement body;
};

ChatTemplate::ChatTemplate(std::string_view source, std::string name, Map variables) {
  const auto program = std::make_shared<Program>();
  program->name = std::move(name);
  program->variables = std::move(variables);
  program->tokens = cut_template(source, program->name);
  program->body = parse_template(program->tokens, program->name);
  program_ = program;
}

std::string ChatTemplate::render(const Value& messages) const {
  Scope scope;
  scope.set("range", Function(range));
  scope.set("dict", Function(namespace_of));
  scope.set("namespace", Function(namespace_of));
  scope.set("raise_exception", Function(raise));
  scope.set("messages", messages);
  scope.set("add_generation_prompt", false);
  scope.set("tools", nullptr);
  scope.set("documents", nullptr);
  for (const auto& [name, value] : program_->variables) scope.set(name, value);
  std::string text;
  try {
    program_->body(scope, text);
  } catch (const Failure& failure) {
    const std::string what = failure.what();
    if (what.starts_with(program_->name)) throw;
    throw Failure(failure.code(), program_->name + ": " + what);
  }
  return text;
}

std::optional<ChatTemplate> read_chat_template(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return std::nullopt;
  Map variables;
  add_tokens(folder / "special_tokens_map.json", variables);
  add_tokens(folder / "tokenizer_config.json", variables);
  const fs::path alone = folder / "chat_template.jinja";
  if (fs::exists(alone, error)) {
    return ChatTemplate(formats::read_text_file(alone, kMostBytes), alone.string(), variables);
  }
  const fs::path config = folder / "tokenizer_config.json";
  const std::string source = template_in(config);
  if (source.empty()) return std::nullopt;
  return ChatTemplate(source, config.string() + ": chat_template", variables);
}

}  // namespace shardquant::chat
