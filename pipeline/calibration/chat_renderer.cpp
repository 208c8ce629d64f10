#include "pipeline/calibration/chat_renderer.hpp"

#include <memory>
#include <optional>
#include <system_error>

#include "pipeline/chat/chat_template.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/tokenizer/tokenizer.hpp"

namespace shardquant::calibration {

namespace {

namespace fs = std::filesystem;

std::optional<chat::ChatTemplate> template_beside(const fs::path& tokenizer,
                                                  const formats::JsonNode& messages) {
  std::error_code error;
  const fs::path folder = fs::is_directory(tokenizer, error) ? tokenizer : tokenizer.parent_path();
  auto found = chat::read_chat_template(folder);
  if (!found) {
    messages.refuse(
        "chat messages want the model's chat template, chat_template.jinja or chat_template in "
        "tokenizer_config.json, and there is none in " +
        folder.string());
  }
  if (tokenizer::find_tokenizer(tokenizer).extension() == ".model") {
    messages.refuse(
        "chat messages want a tokenizer.json; a tokenizer.model takes the special "
        "tokens of a chat template for text");
  }
  return found;
}

}  // namespace

RenderMessages chat_renderer(const fs::path& tokenizer) {
  const auto program = std::make_shared<std::optional<chat::ChatTemplate>>();
  return [program, tokenizer](const formats::JsonNode& messages) {
    if (!*program) *program = template_beside(tokenizer, messages);
    try {
      return (*program)->render(chat::Value::of(messages));
    } catch (const Failure& failure) {
      messages.refuse(failure.what());
    }
  };
}

}  // namespace shardquant::calibration
