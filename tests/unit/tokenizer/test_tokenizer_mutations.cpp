#include <gtest/gtest.h>

#include <random>

#include "pipeline/failure.hpp"
#include "pipeline/tokenizer/tokenizer_json.hpp"

namespace shardquant::tokenizer {
namespace {

constexpr const char* kFile = R"({"added_tokens": [{"id": 9, "content": "<s>", "single_word": false,
"lstrip": true, "rstrip": true, "normalized": true, "special": true}], "normalizer": {"type":
"Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern":
{"Regex": " +"}, "content": "▁"}, {"type": "NFC"}]}, "pre_tokenizer": {"type": "Sequence",
"pretokenizers": [{"type": "Split", "pattern": {"Regex": "'s|[^\\s\\p{L}]+|\\s+(?!\\S)|\\p{N}{1,3}"},
"behavior": "Isolated", "invert": false}, {"type": "ByteLevel", "add_prefix_space": false,
"use_regex": true}]}, "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken":
{"id": "<s>"}}, {"Sequence": {"id": "A"}}], "special_tokens": {"<s>": {"ids": [9]}}}, "decoder":
{"type": "Sequence", "decoders": [{"type": "ByteLevel"}, {"type": "Strip", "content": " ", "start":
1, "stop": 0}]}, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "Ġ": 2, "Ġa": 3, "ab": 4,
"<unk>": 5, "<0x61>": 6, "â": 7, "Ċ": 8}, "merges": ["Ġ a", ["a", "b"]], "unk_token": "<unk>",
"byte_fallback": true, "ignore_merges": true, "fuse_unk": true}})";

// Pieces that a mutation puts in: what the format has a meaning for.
const std::vector<std::string>& parts() {
  static const std::vector<std::string> list{
      "null",       "-1",         "4294967296", "\"\"",      "[]",
      "{}",         "true",       "1e300",      "0",         "\"a",
      "Sequence",   "MergedWith", "(a+)+",      "\\\\p{",    "[^",
      "{1,65535}",  "(?=",        "Digits",     "Metaspace", "Replace",
      "\"String\"", "\\u0000",    "ByteLevel",  "(?R)",      "\xF0\x9F\xA6\x99",
      "[[[[[[[[",   "]",          "}",          ",",         "(?<n>",
      "\\\\K"};
  return list;
}

std::string mutated(std::mt19937_64& random) {
  std::string text = kFile;
  const int changes = random() % 3 == 0 ? 2 : 1;
  for (int i = 0; i < changes; ++i) {
    const std::size_t at = random() % text.size();
    const std::string& part = parts()[random() % parts().size()];
    switch (random() % 4) {
      case 0:
        text[at] = static_cast<char>(' ' + random() % 95);
        break;
      case 1:
        text.erase(at, 1 + random() % 12);
        break;
      case 2:
        text.insert(at, part);
        break;
      default:
        text.replace(at, std::min(part.size(), text.size() - at), part);
        break;
    }
    if (text.empty()) text = "{";
  }
  return text;
}

// Whatever stands in the file: it is refused with 65, or it is a tokenizer that keeps its word.
TEST(tokenizer_json, a_mutated_file_is_refused_or_works) {
  std::mt19937_64 random(20);
  int works = 0;
  constexpr int kRounds = 6000;
  for (int round = 0; round < kRounds; ++round) {
    const std::string file = mutated(random);
    try {
      const auto tokenizer = make_json_tokenizer(formats::JsonText::parse(file, "f"));
      std::vector<std::int32_t> ids;
      tokenizer->encode("ab a  <s> \n'sab\xC3\xA4 12345 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", ids);
      for (const std::int32_t id : ids) {
        ASSERT_GE(id, 0);
        ASSERT_LT(id, tokenizer->vocab_size());
      }
      tokenizer->decode(ids);
      ++works;
    } catch (const Failure& failure) {
      ASSERT_EQ(failure.code(), ExitCode::bad_data) << failure.what() << '\n' << file;
    }
  }
  EXPECT_GT(works, kRounds / 20);
  EXPECT_LT(works, kRounds * 19 / 20);
}

}  // namespace
}  // namespace shardquant::tokenizer
