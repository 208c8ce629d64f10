#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/calibration/document_encoder.hpp"
#include "tests/support/shared_data.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/calibration/calibration_test.hpp"

namespace shardquant::tests {
namespace {

using calibration::BosPolicy;
using calibration::Document;
using calibration::DocumentEncoder;
using testing::ElementsAre;

std::vector<std::int32_t> encoded(tokenizer::Tokenizer& tokenizer, BosPolicy policy,
                                  const Document& document) {
  std::vector<std::int32_t> ids;
  DocumentEncoder(tokenizer, policy, 64, "--bos none").append(document, "file", ids);
  return ids;
}

class Bos : public testing::Test {
 protected:
  std::unique_ptr<tokenizer::Tokenizer> open(const std::string& config) {
    write_file(folder_.path() / "tokenizer.json", letter_tokenizer());
    write_file(folder_.path() / "tokenizer_config.json", config);
    return tokenizer::open_tokenizer(folder_.path());
  }

  TempDirectory folder_;
};

TEST_F(Bos, a_text_that_begins_with_it_gets_no_second_one) {
  const auto tokenizer = open("{}");
  EXPECT_THAT(encoded(*tokenizer, BosPolicy::document, {"ab", 1}), ElementsAre(26, 0, 1));
  EXPECT_THAT(encoded(*tokenizer, BosPolicy::document, {"<s>ab", 1}), ElementsAre(26, 0, 1));
  EXPECT_THAT(encoded(*tokenizer, BosPolicy::none, {"<s>ab", 1}), ElementsAre(26, 0, 1));
  EXPECT_THAT(encoded(*tokenizer, BosPolicy::row, {"<s>ab", 1}), ElementsAre(0, 1));
  EXPECT_THAT(encoded(*tokenizer, BosPolicy::document, {"ab", 1, true}), ElementsAre(0, 1))
      << "what a chat begins with its template says";
}

TEST_F(Bos, is_added_where_the_tokenizer_does_so) {
  const auto automatic = [&](const std::string& config) {
    return encoded(*open(config), BosPolicy::automatic, {"a", 1});
  };
  EXPECT_THAT(automatic("{}"), ElementsAre(26, 0)) << "by its post-processing";
  EXPECT_THAT(automatic(R"({"add_bos_token": false})"), ElementsAre(0));
  EXPECT_THAT(automatic(R"({"add_bos_token": true})"), ElementsAre(26, 0));
  EXPECT_THAT(automatic(R"({"bos_token": "b"})"), ElementsAre(0)) << "named, but never put";
  EXPECT_THAT(automatic(R"({"bos_token": "b", "add_bos_token": true})"), ElementsAre(1, 0));
}

TEST(BosOfSentencePiece, is_no_text_either) {
  SKIP_WITHOUT_SHARED("models/stories260K/tokenizer.model");
  for (const char* name : {"tokenizer.model", "tokenizer.json"}) {
    const auto tokenizer =
        tokenizer::open_tokenizer(shared_path(std::string("models/stories260K/") + name));
    std::vector<std::int32_t> plain, written;
    DocumentEncoder encoder(*tokenizer, BosPolicy::automatic, 512, "--bos none");
    encoder.append({"Once upon a time", 1}, "file", plain);
    encoder.append({"<s>Once upon a time", 1}, "file", written);
    EXPECT_EQ(plain.front(), 1) << name;
    EXPECT_EQ(written, plain) << name;
  }
}

}  // namespace
}  // namespace shardquant::tests
