#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "pipeline/chat/chat_template.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/tokenizer/tokenizer.hpp"
#include "tests/support/shared_data.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::chat {
namespace {

using json = nlohmann::ordered_json;
using testing::HasSubstr;
namespace fs = std::filesystem;

json read_json(const std::string& path) {
  std::ifstream file(path);
  return json::parse(file);
}

json recorded(const std::string& name) {
  return read_json(std::string(SHARDQUANT_SOURCE_DIR "/tests/data/") + name);
}

Value value_of(const json& value) {
  const auto text = formats::JsonText::parse(value.dump(), "messages");
  return Value::of(text.root());
}

std::string refusal_of(const std::string& source) {
  try {
    ChatTemplate(source, "t").render(List{});
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::bad_data);
    return failure.what();
  }
  return "accepted";
}

TEST(ChatTemplate, makes_of_pieces_what_jinja_makes) {
  const json all = recorded("template_cases.json");
  const Value messages = value_of(all["messages"]);
  EXPECT_GE(all["cases"].size(), 30u);
  for (const json& one : all["cases"]) {
    const auto source = one["template"].get<std::string>();
    std::string text;
    EXPECT_NO_THROW(text = ChatTemplate(source, "t").render(messages)) << source;
    EXPECT_EQ(text, one["text"].get<std::string>()) << source;
  }
}

// Llama 3, Mistral, Qwen, ChatML.
TEST(ChatTemplate, gives_the_ids_of_apply_chat_template) {
  SKIP_WITHOUT_SHARED("tokenizers/llama3/tokenizer.json");
  for (const json& one : recorded("chat_cases.json")) {
    const tests::TempDirectory folder;
    json tokenizer = read_json(tests::shared_path(one["tokenizer"]));
    for (const json& token : one["added_tokens"]) tokenizer["added_tokens"].push_back(token);
    json config = one["special"];
    config["chat_template"] = one["chat_template"];
    std::ofstream(folder.path() / "tokenizer.json") << tokenizer.dump();
    std::ofstream(folder.path() / "tokenizer_config.json") << config.dump();
    const auto program = read_chat_template(folder.path());
    ASSERT_TRUE(program.has_value());
    const auto encoder = tokenizer::open_tokenizer(folder.path());
    for (const json& conversation : one["conversations"]) {
      const std::string text = program->render(value_of(conversation["messages"]));
      EXPECT_EQ(text, conversation["text"].get<std::string>()) << one["name"];
      std::vector<std::int32_t> ids;
      encoder->encode(text, ids);
      EXPECT_EQ(ids, conversation["ids"].get<std::vector<std::int32_t>>()) << one["name"];
    }
  }
}

TEST(ChatTemplate, names_the_line_of_what_it_refuses) {
  EXPECT_THAT(refusal_of("a\n{{ x }\n}}"), HasSubstr("t: line "));
  EXPECT_THAT(refusal_of("\n{% include 'x' %}"), HasSubstr("t: line 2: the statement \"include\""));
  EXPECT_THAT(refusal_of("{{ x | nothing }}"), HasSubstr("the filter nothing is not supported"));
  EXPECT_THAT(refusal_of("{% if true %}"), HasSubstr("endif is missing"));
  EXPECT_THAT(refusal_of("{% endif %}"), HasSubstr("\"endif\" is not supported"));
  EXPECT_THAT(refusal_of("\n\n{{ raise_exception('roles must alternate') }}"),
              HasSubstr("t: line 3: roles must alternate"));
  EXPECT_THAT(refusal_of("{{ messages[0].role.x }}"), HasSubstr("asked of what is undefined"));
  EXPECT_THAT(refusal_of("{{ 1 + 'a' }}"), HasSubstr("an integer + text means nothing"));
  EXPECT_THAT(refusal_of("{{ ''.__class__ }}"), testing::Eq("accepted"))
      << "undefined, as in a sandbox";
}

// Hostile templates end.
TEST(ChatTemplate, ends_whatever_the_template) {
  const std::string nested(100'000, '(');
  EXPECT_THAT(refusal_of("{{ " + nested + " }}"), HasSubstr("too deep"));
  EXPECT_THAT(refusal_of("{{ " + std::string(100'000, '-') + "1 }}"), testing::Ne("accepted"));
  std::string blocks;
  for (int i = 0; i < 1000; ++i) blocks += "{% if true %}";
  EXPECT_THAT(refusal_of(blocks), HasSubstr("too deep"));
  EXPECT_THAT(refusal_of("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}"),
              HasSubstr("too deep"));
  EXPECT_THAT(refusal_of("{% for a in range(99999) %}{% for b in range(99999) %}{{ '' }}{% endfor "
                         "%}{% endfor %}"),
              HasSubstr("for ever"));
  EXPECT_THAT(refusal_of("{{ 'x' * 99999999999 }}"), HasSubstr("too long"));
}

TEST(ReadChatTemplate, finds_it_in_any_of_its_places) {
  const tests::TempDirectory folder;
  EXPECT_FALSE(read_chat_template(folder.path()).has_value());
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder.path() / name) << text;
  };
  const auto rendered = [&] { return read_chat_template(folder.path())->render(List{}); };
  write("tokenizer_config.json", R"({"bos_token": {"content": "<s>"}, "eos_token": null})");
  EXPECT_FALSE(read_chat_template(folder.path()).has_value());
  write(
      "tokenizer_config.json",
      R"({"bos_token": {"content": "<s>"}, "chat_template": [{"name": "tool_use", "template": "t"},
            {"name": "default", "template": "{{ bos_token }}{{ eos_token is defined }}"}]})");
  EXPECT_EQ(rendered(), "<s>False");
  write("special_tokens_map.json", R"({"eos_token": "</s>"})");
  EXPECT_EQ(rendered(), "<s>True");
  write("chat_template.jinja", "alone {{ eos_token }}");
  EXPECT_EQ(rendered(), "alone </s>");
}

}  // namespace
}  // namespace shardquant::chat
