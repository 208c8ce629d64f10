#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "pipeline/formats/file_handle.hpp"
#include "pipeline/tokenizer/tokenizer.hpp"
#include "tests/support/shared_data.hpp"

namespace shardquant::tokenizer {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostBytes = std::int64_t{1} << 26;

struct Case {
  std::string text;
  std::vector<std::int32_t> ids;
};

std::vector<Case> read_cases(const std::string& name) {
  const fs::path folder = tests::shared_path("tokenizers/vectors");
  const std::string inputs =
      formats::read_text_file(folder / ("ggml-vocab-" + name + ".gguf.inp"), kMostBytes);
  std::ifstream outputs(folder / ("ggml-vocab-" + name + ".gguf.out"));
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  std::vector<Case> cases;
  for (std::size_t at = 0; at <= inputs.size();) {
    const std::size_t end = std::min(inputs.find(kSeparator, at), inputs.size());
    Case one{inputs.substr(at, end - at), {}};
    std::string line;
    std::getline(outputs, line);
    std::istringstream numbers(line);
    for (std::int32_t id; numbers >> id;) one.ids.push_back(id);
    cases.push_back(std::move(one));
    at = end + kSeparator.size();
  }
  return cases;
}

struct Vectors {
  const char* name;
  const char* tokenizer;
};

class TokenizerVectors : public testing::TestWithParam<Vectors> {};

TEST_P(TokenizerVectors, all_are_met_and_decoded_back) {
  SKIP_WITHOUT_SHARED("tokenizers/vectors");
  const std::vector<Case> cases = read_cases(GetParam().name);
  ASSERT_EQ(cases.size(), 47u);
  const auto tokenizer = open_tokenizer(tests::shared_path(GetParam().tokenizer));
  for (const Case& one : cases) {
    std::vector<std::int32_t> ids;
    tokenizer->encode(one.text, ids);
    EXPECT_EQ(ids, one.ids) << one.text;
    EXPECT_EQ(tokenizer->decode(one.ids), one.text);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, TokenizerVectors,
                         testing::Values(Vectors{"llama-spm", "tokenizers/llama2/tokenizer.json"},
                                         Vectors{"llama-spm", "tokenizers/llama2/tokenizer.model"},
                                         Vectors{"llama-bpe", "tokenizers/llama3/tokenizer.json"},
                                         Vectors{"gpt-2", "tokenizers/gpt2/tokenizer.json"}));

// sentencepiece itself is the reference for the merges of tokenizer.json.
TEST(llama_2, both_files_have_the_same_pieces_and_agree_on_2_mb) {
  SKIP_WITHOUT_SHARED("tokenizers/llama2");
  const auto from_json = open_tokenizer(tests::shared_path("tokenizers/llama2/tokenizer.json"));
  const auto from_model = open_tokenizer(tests::shared_path("tokenizers/llama2/tokenizer.model"));
  ASSERT_EQ(from_model->vocab_size(), 32000);
  for (std::int32_t id = 0; id < 32000; ++id) {
    ASSERT_EQ(from_json->piece(id), from_model->piece(id)) << id;
  }
  const std::string text =
      formats::read_text_file(tests::shared_path("data/text/wiki.utf8"), kMostBytes);
  std::vector<std::int32_t> of_json, of_model;
  from_json->encode(text, of_json);
  from_model->encode(text, of_model);
  EXPECT_GT(of_json.size(), 600'000u);
  EXPECT_TRUE(of_json == of_model);
  EXPECT_EQ(from_model->decode(of_model), text);
  EXPECT_EQ(from_model->bos(), 1);
  EXPECT_EQ(from_json->prefix()[0], 1);
}

// Text is cut where no merge reaches across; a text of one word takes the other way.
TEST(llama_2, a_text_of_one_long_word_agrees_too) {
  SKIP_WITHOUT_SHARED("tokenizers/llama2");
  const auto from_json = open_tokenizer(tests::shared_path("tokenizers/llama2/tokenizer.json"));
  const auto from_model = open_tokenizer(tests::shared_path("tokenizers/llama2/tokenizer.model"));
  std::string text = formats::read_text_file(tests::shared_path("data/text/c4.utf8"), kMostBytes);
  text.resize(100'000);
  std::erase_if(text, [](char c) { return c < 'A' || c > 'z'; });
  std::vector<std::int32_t> of_json, of_model;
  from_json->encode(text, of_json);
  from_model->encode(text, of_model);
  EXPECT_TRUE(of_json == of_model);
}

}  // namespace
}  // namespace shardquant::tokenizer
