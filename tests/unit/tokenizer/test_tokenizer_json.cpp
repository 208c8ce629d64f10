#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/failure.hpp"
#include "pipeline/tokenizer/tokenizer_json.hpp"

namespace shardquant::tokenizer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::unique_ptr<Tokenizer> make(const std::string& text) {
  return make_json_tokenizer(formats::JsonText::parse(text, "tokenizer.json"));
}

std::vector<std::int32_t> encode(Tokenizer& tokenizer, const std::string& text) {
  std::vector<std::int32_t> ids;
  tokenizer.encode(text, ids);
  return ids;
}

std::string refusal(const std::string& text) {
  try {
    make(text);
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::bad_data);
    return failure.what();
  }
  return "accepted";
}

constexpr const char* kModel =
    R"("model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, "▁": 5,
       "▁a": 6, "<unk>": 7, "<0xC3>": 8, "<0xA4>": 9, "é": 10}, "merges": ["a b", ["ab", "c"],
       "▁ a"], "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true})";

std::string with_model(const std::string& rest) {
  return "{" + rest + (rest.empty() ? "" : ", ") + kModel + "}";
}

TEST(tokenizer_json, merges_falls_back_to_bytes_and_then_to_the_unknown_token) {
  const auto tokenizer = make(with_model(""));
  EXPECT_THAT(encode(*tokenizer, "abcab"), ElementsAre(4, 3));
  EXPECT_THAT(encode(*tokenizer,
                     "a\xC3\xA4"
                     "b"),
              ElementsAre(0, 8, 9, 1));
  EXPECT_THAT(encode(*tokenizer, "axyzb"), ElementsAre(0, 7, 1));
  EXPECT_TRUE(encode(*tokenizer, "").empty());
}

TEST(tokenizer_json, added_tokens_take_white_space_and_want_words_of_their_own) {
  const auto tokenizer = make(with_model(
      R"("added_tokens": [{"id": 20, "content": "<x>", "lstrip": true, "rstrip": true},
         {"id": 21, "content": "<xx>", "special": true}, {"id": 22, "content": "cab",
         "single_word": true}])"));
  EXPECT_THAT(encode(*tokenizer, "a \t<x> \nb"), ElementsAre(0, 20, 1));
  EXPECT_THAT(encode(*tokenizer, "<xx><x>"), ElementsAre(21, 20));
  EXPECT_THAT(encode(*tokenizer, "cab"), ElementsAre(22));
  EXPECT_THAT(encode(*tokenizer, "bcab"), ElementsAre(1, 2, 3));
  EXPECT_EQ(tokenizer->vocab_size(), 23);
  EXPECT_EQ(tokenizer->decode(std::vector<std::int32_t>{21, 22}), "cab");
}

TEST(tokenizer_json, normalizers_are_applied_in_order_and_to_each_part) {
  const auto tokenizer = make(with_model(
      R"("normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"},
         {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "},
         "content": "▁"}, {"type": "Replace", "pattern": {"Regex": "[xy]+"}, "content": "c"}]},
         "added_tokens": [{"id": 20, "content": "<s>", "special": true}])"));
  EXPECT_THAT(encode(*tokenizer, "A AB<s>XyY"), ElementsAre(6, 5, 3, 20, 5, 2));
  EXPECT_THAT(encode(*tokenizer, "be\xCC\x81"), ElementsAre(5, 1, 10));
}

TEST(tokenizer_json, metaspace_puts_a_blank_before_the_first_part_only) {
  const auto tokenizer = make(with_model(
      R"("pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first",
         "split": false}, "added_tokens": [{"id": 20, "content": "<s>"}])"));
  EXPECT_THAT(encode(*tokenizer, "ab<s>ab"), ElementsAre(5, 3, 20, 3));
}

TEST(tokenizer_json, split_behaves_as_it_is_told) {
  const auto pieces_of = [](const std::string& behavior) {
    const auto tokenizer = make(with_model(
        R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "b"}, "invert": false,
           "behavior": ")" +
        behavior + "\"}"));
    return encode(*tokenizer, "aabbc");
  };
  EXPECT_THAT(pieces_of("Isolated"), ElementsAre(0, 0, 1, 1, 2));
  EXPECT_THAT(pieces_of("Removed"), ElementsAre(0, 0, 2));
  EXPECT_THAT(pieces_of("MergedWithPrevious"), ElementsAre(0, 3, 1, 2));
  EXPECT_THAT(pieces_of("MergedWithNext"), ElementsAre(0, 0, 1, 1, 2));
  EXPECT_THAT(pieces_of("Contiguous"), ElementsAre(0, 0, 1, 1, 2));
}

TEST(tokenizer_json, a_template_gives_bos_and_eos) {
  const auto tokenizer = make(with_model(
      R"("added_tokens": [{"id": 20, "content": "<s>"}, {"id": 21, "content": "</s>"}],
         "post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"},
         {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}},
         {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}], "special_tokens":
         {"<s>": {"ids": [20]}, "</s>": {"ids": [21]}}}]})"));
  EXPECT_THAT(tokenizer->prefix(), ElementsAre(20));
  EXPECT_THAT(tokenizer->suffix(), ElementsAre(21));
  EXPECT_EQ(tokenizer->bos(), 20);
  EXPECT_EQ(tokenizer->eos(), 21);
}

TEST(tokenizer_json, text_must_be_utf_8) {
  const auto tokenizer = make(with_model(""));
  for (const std::string text : {"a\xFF", "\xC3", "\xED\xA0\x80", "\xC0\x80", "\xF4\x90\x80\x80"}) {
    EXPECT_THROW(encode(*tokenizer, text), Failure);
  }
}

TEST(tokenizer_json, what_is_not_supported_is_refused_by_name) {
  EXPECT_THAT(refusal(R"({"model": {"type": "WordPiece", "vocab": {}}})"),
              HasSubstr("tokenizer.json: model.type: \"WordPiece\" is not supported"));
  EXPECT_THAT(refusal(with_model(R"("normalizer": {"type": "BertNormalizer"})")),
              HasSubstr("normalizer.type: \"BertNormalizer\" is not supported"));
  EXPECT_THAT(refusal(with_model(R"("pre_tokenizer": {"type": "Sequence", "pretokenizers":
                                    [{"type": "BertPreTokenizer"}]})")),
              HasSubstr("pre_tokenizer.pretokenizers[0].type: \"BertPreTokenizer\""));
  EXPECT_THAT(refusal(with_model(R"("post_processor": {"type": "RobertaProcessing"})")),
              HasSubstr("post_processor.type: \"RobertaProcessing\" is not supported"));
  EXPECT_THAT(refusal(with_model(R"("decoder": {"type": "WordPiece"})")),
              HasSubstr("decoder.type: \"WordPiece\" is not supported"));
  EXPECT_THAT(refusal(R"({"model": {"vocab": {"a": 0}, "merges": ["a b"]}})"),
              HasSubstr("model.merges[0]: \"b\" is not in the vocabulary"));
  EXPECT_THAT(refusal(R"({"model": {"vocab": {"a": 0, "b": 0}, "merges": []}})"),
              HasSubstr("id 0 is given twice"));
  EXPECT_THAT(refusal(R"({"model": {"vocab": {"a": 4000000000}, "merges": []}})"),
              HasSubstr("model.vocab.a: 4000000000 is outside"));
  EXPECT_THAT(refusal(R"({"model": {"vocab": {"a": 0}, "merges": [], "dropout": 0.5}})"),
              HasSubstr("model.dropout"));
  EXPECT_THAT(refusal(with_model(R"("added_tokens": [{"id": 3, "content": "<s>"}])")),
              HasSubstr("added_tokens[0].id: 3 is the id of another token too"));
}

}  // namespace
}  // namespace shardquant::tokenizer
