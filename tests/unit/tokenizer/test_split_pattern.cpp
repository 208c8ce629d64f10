#include <gtest/gtest.h>

#include <ctime>

#include "pipeline/failure.hpp"
#include "pipeline/tokenizer/split_pattern.hpp"

namespace shardquant::tokenizer {
namespace {

using Syntax = SplitPattern::Syntax;

// Everything that is matched in a text; the exit code and the seconds it took where that fails.
struct Outcome {
  std::vector<TextRange> found;
  ExitCode code = ExitCode::done;
  double seconds = 0.0;
};

Outcome find_all(const std::string& pattern, const std::string& text) {
  const std::clock_t began = std::clock();  // of the processor: other programs may be running
  Outcome outcome;
  try {
    SplitPattern split(pattern, Syntax::regex, "f: pre_tokenizer");
    for (std::size_t from = 0; from < text.size();) {
      const auto found = split.find(text, {0, text.size()}, from);
      if (!found) break;
      outcome.found.push_back(*found);
      from = std::max(found->end, from + 1);
    }
  } catch (const Failure& failure) {
    outcome.code = failure.code();
  }
  outcome.seconds = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
  return outcome;
}

// What makes a pattern with nested or many repetitions take long.
std::vector<std::string> long_texts() {
  std::vector<std::string> texts{std::string(40, 'a') + '!', std::string(400'000, 'a') + '!',
                                 std::string(20'000, 'a')};
  texts.push_back("x" + texts[1] + "x");
  return texts;
}

class CatastrophicPattern : public testing::TestWithParam<const char*> {};

TEST_P(CatastrophicPattern, ends_in_two_seconds_with_65) {
  bool fails = false;
  for (const std::string& text : long_texts()) {
    const Outcome outcome = find_all(GetParam(), text);
    EXPECT_TRUE(outcome.code == ExitCode::bad_data || outcome.code == ExitCode::done);
    EXPECT_LT(outcome.seconds, 2.0) << GetParam() << " on " << text.size();
    fails = fails || outcome.code == ExitCode::bad_data;
  }
  EXPECT_TRUE(fails) << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Regexes, CatastrophicPattern,
                         testing::Values("(a+)+$", "(a|a)*$", "(a|aa)+$", "(a*)*b", "([a-z]+)*\\d",
                                         "(.*a){20}[bc]", "(?=(a+)+z)", "a*a*a*a*a*a*b", "a*z",
                                         "(?:a?){30}a{30}z", "(?s)(?=.*z)|(?=.*y)"));

// Done in time on a fast machine, refused on a slow one.
TEST(split_pattern, what_may_be_too_much_ends_in_two_seconds_too) {
  for (const std::string& text : long_texts()) {
    const Outcome outcome = find_all("(.*a){20}", text);
    EXPECT_TRUE(outcome.code == ExitCode::bad_data || outcome.code == ExitCode::done);
    EXPECT_LT(outcome.seconds, 2.0) << text.size();
  }
}

TEST(split_pattern, what_takes_long_but_not_too_long_is_matched) {
  const std::string blanks(300'000, ' ');
  const Outcome outcome = find_all(R"(\s*[\r\n]+|\s+(?!\S)|\s+|\p{L}+)", blanks + "word");
  EXPECT_EQ(outcome.code, ExitCode::done);
  ASSERT_EQ(outcome.found.size(), 3u);
  EXPECT_EQ(outcome.found[0], (TextRange{0, 299'999}));
  const Outcome letters = find_all(R"(\p{L}+)", std::string(2'000'000, 'q'));
  ASSERT_EQ(letters.found.size(), 1u);
  EXPECT_EQ(letters.found[0].size(), 2'000'000u);
}

TEST(split_pattern, a_pattern_must_be_one_and_small) {
  for (const std::string pattern :
       {"", "(", "a{2,1}", "\\", "[z-a]", "\\C", "\\h", "\\Ra", "(*LIMIT_MATCH=9)a", "(?<=a+)b",
        "((((a{1,500}){1,500}){1,500}){1,500})"}) {
    EXPECT_EQ(find_all(pattern, "aaa").code, ExitCode::bad_data) << pattern;
  }
  EXPECT_EQ(find_all(std::string(100, '(') + "a" + std::string(100, ')'), "a").code,
            ExitCode::bad_data);
}

TEST(split_pattern, the_mongolian_vowel_separator_is_no_white_space) {
  EXPECT_TRUE(find_all("\\s",
                       "a\xE1\xA0\x8E"
                       "b")
                  .found.empty());
  EXPECT_EQ(find_all("\\s",
                     "a\xE3\x80\x80"
                     "b")
                .found.size(),
            1u);
}

}  // namespace
}  // namespace shardquant::tokenizer
