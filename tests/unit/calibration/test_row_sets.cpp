#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "pipeline/calibration/row_sets.hpp"
#include "pipeline/tokenizer/tokenizer_json.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/calibration/calibration_test.hpp"

namespace shardquant::tests {
namespace {

using calibration::BosPolicy;
using calibration::PackingRules;
using calibration::RowSets;
using config::RunConfig;
using testing::ElementsAre;
using testing::HasSubstr;

class MakeRowSets : public testing::Test {
 protected:
  RunConfig::Source source(const std::string& name, const std::string& text, double weight = 1.0) {
    return {write_file(folder_.path() / name, text), "auto", "text", weight};
  }

  RowSets make(const std::vector<RunConfig::Source>& sources, const PackingRules& rules,
               std::int64_t rows, std::int64_t validation = 0) {
    return calibration::make_row_sets(sources, rules, tokenizer_.get(),
                                      {{"calibration", rows, {}}, {"validation", validation, {}}});
  }

  TempDirectory folder_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_ = tokenizer::make_json_tokenizer(
      formats::JsonText::parse(letter_tokenizer(), "tokenizer.json"));
};

TEST_F(MakeRowSets, documents_are_packed_with_bos_where_it_is_wanted) {
  const auto text = source("t", "abc|de|fgh");
  EXPECT_THAT(make({text}, {4, BosPolicy::document, "|"}, 2).sets[0].tokens,
              ElementsAre(26, 0, 1, 2, 26, 3, 4, 26));
  EXPECT_THAT(make({text}, {4, BosPolicy::row, "|"}, 2).sets[0].tokens,
              ElementsAre(26, 0, 1, 2, 26, 3, 4, 5));
  EXPECT_THAT(make({text}, {4, BosPolicy::none, "|"}, 2).sets[0].tokens,
              ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST_F(MakeRowSets, too_few_rows_are_counted) {
  const auto text = source("t", "abc|de|fgh");
  const auto few = refused([&] { make({text}, {4, BosPolicy::none, "|"}, 3); });
  EXPECT_EQ(few.code, ExitCode::bad_data);
  EXPECT_THAT(few.text, HasSubstr("3 rows of 4 tokens are wanted of it, but only 2 fit"));
}

TEST_F(MakeRowSets, spare_rows_are_what_is_left_and_in_no_other_set) {
  // Rows: ab cd ab ef gh
  const auto text = source("t", "abcdabefgh");
  const PackingRules rules{2, BosPolicy::none, "|"};
  const auto spare = [&](std::int64_t rows, std::int64_t most) {
    return calibration::make_row_sets({text}, rules, tokenizer_.get(),
                                      {{"calibration", rows, {}}, {"spare", most, {}, true}});
  };
  const RowSets made = spare(2, 9);
  EXPECT_EQ(made.sets[0].tokens, make({text}, rules, 2).sets[0].tokens);
  EXPECT_THAT(made.sets[1].tokens, ElementsAre(4, 5, 6, 7)) << "the second ab is calibrated on";
  EXPECT_EQ(made.sets[1].rows, 2);
  EXPECT_EQ(made.sources[0].rows, 5);
  EXPECT_THAT(spare(2, 1).sets[1].tokens, testing::IsEmpty()) << "only the next row is looked at";
  EXPECT_EQ(spare(5, 3).sets[1].rows, 0);
  EXPECT_EQ(refused([&] { spare(6, 3); }).code, ExitCode::bad_data);
}

TEST_F(MakeRowSets, spare_rows_do_not_change_what_is_calibrated_on) {
  const std::vector<RunConfig::Source> sources{source("a", std::string(60, 'a'), 3.0),
                                               source("b", "bcbdbebfbgbhbibj", 1.0)};
  const PackingRules rules{2, BosPolicy::none, "|", 5};
  const RowSets without = make(sources, rules, 8);
  const RowSets with = calibration::make_row_sets(
      sources, rules, tokenizer_.get(), {{"calibration", 8, {}}, {"spare", 40, {}, true}});
  EXPECT_EQ(with.sets[0].tokens, without.sets[0].tokens);
  EXPECT_GT(with.sets[1].rows, 0);
}

TEST_F(MakeRowSets, twins_are_dropped_across_sources_where_asked) {
  const std::vector<RunConfig::Source> sources{source("a", "ab|cd|ab|ef"), source("b", "cd|gh|ij")};
  PackingRules rules{4, BosPolicy::none, "|", 0, true};
  const RowSets made = make(sources, rules, 2);
  EXPECT_THAT(made.sets[0].tokens, ElementsAre(0, 1, 2, 3, 6, 7, 8, 9));
  EXPECT_EQ(made.sources[1].twins, 1);
  EXPECT_EQ(made.sources[1].documents, 2);
}

TEST_F(MakeRowSets, weights_share_out_the_rows_and_mix_them) {
  const std::vector<RunConfig::Source> sources{source("a", std::string(60, 'a'), 3.0),
                                               source("b", std::string(60, 'b'), 1.0)};
  const RowSets made = make(sources, {2, BosPolicy::none, "|"}, 8);
  EXPECT_EQ(made.sources[0].rows, 6);
  EXPECT_EQ(made.sources[1].rows, 2);
  // Every half of the rows has the same mixture.
  const auto& tokens = made.sets[0].tokens;
  EXPECT_EQ(std::count(tokens.begin(), tokens.begin() + 8, 1), 2);
  EXPECT_THAT(calibration::rows_by_weight(10, {1.0, 1.0, 1.0}), ElementsAre(4, 3, 3));
  EXPECT_THAT(calibration::rows_by_weight(2, {1e6, 1e-6}), ElementsAre(2, 0));
}

TEST_F(MakeRowSets, a_seed_shuffles_documents_the_same_way_each_time) {
  std::string text;
  for (char c = 'a'; c <= 'z'; ++c) text += std::string(4, c) + "|";
  const auto tokens = [&](std::uint64_t seed) {
    return make({source("t", text)}, {4, BosPolicy::none, "|", seed}, 26).sets[0].tokens;
  };
  const auto plain = tokens(0);
  const auto one = tokens(1);
  EXPECT_NE(one, plain);
  EXPECT_EQ(one, tokens(1));
  EXPECT_NE(one, tokens(2));
  EXPECT_TRUE(std::is_permutation(one.begin(), one.end(), plain.begin()));
  // As on any other machine; worked out apart from this program.
  EXPECT_THAT(calibration::shuffled(6, 1), ElementsAre(0, 1, 3, 2, 4, 5));
  EXPECT_THAT(calibration::shuffled(6, 2), ElementsAre(2, 5, 0, 3, 1, 4));
}

TEST_F(MakeRowSets, sets_share_no_row) {
  std::string text;
  for (int i = 0; i < 200; ++i) {
    text += {static_cast<char>('a' + i % 26), static_cast<char>('a' + i / 26), 'x'};
  }
  const RowSets made = make({source("t", text)}, {3, BosPolicy::none, "|"}, 120, 80);
  std::set<std::string> rows;
  for (const auto& set : made.sets) {
    for (std::int64_t row = 0; row < set.rows; ++row) {
      rows.insert(calibration::row_hash(set, made.length, row));
    }
  }
  EXPECT_EQ(rows.size(), 200u);
  const auto twice = refused([&] {
    make({source("u", "abcabc")}, {3, BosPolicy::none, "|"}, 1, 1);
  });
  EXPECT_EQ(twice.code, ExitCode::bad_data);
  EXPECT_THAT(twice.text, HasSubstr("the same row of 3 tokens twice"));
}

TEST_F(MakeRowSets, token_streams_are_taken_as_they_are) {
  const std::vector<std::int32_t> ids{5, 6, 7, 8, 9};
  auto stream = source("s.i32", {reinterpret_cast<const char*>(ids.data()), 20});
  EXPECT_THAT(make({stream}, {2, BosPolicy::document, "|"}, 2).sets[0].tokens,
              ElementsAre(5, 6, 7, 8));
}

TEST_F(MakeRowSets, text_that_is_not_utf_8_is_refused_by_file) {
  const auto wrong = refused([&] { make({source("bad", "a\xFF")}, {1, BosPolicy::none, "|"}, 1); });
  EXPECT_EQ(wrong.code, ExitCode::bad_data);
  EXPECT_THAT(wrong.text, HasSubstr("bad: document 1: the text is not UTF-8 at its byte 1"));
}

}  // namespace
}  // namespace shardquant::tests
