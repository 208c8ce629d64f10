#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "pipeline/evaluation/token_mean.hpp"
#include "pipeline/model/position_limit.hpp"

namespace shardquant::evaluation {
namespace {

TEST(TokenMean, of_rows_of_one_length_is_that_of_their_means) {
  const TokenMean mean = mean_over_rows(std::vector<RowSum>{{2.0, 2}, {4.0, 2}, {12.0, 2}});
  EXPECT_EQ(mean.mean, 3.0);
  EXPECT_EQ(mean.tokens, 6);
  EXPECT_EQ(mean.rows, 3);
  // Means 1, 2, 6: variance 7, over 3 rows.
  EXPECT_NEAR(mean.standard_error, std::sqrt(7.0 / 3.0), 1e-15);
}

TEST(TokenMean, weighs_rows_by_their_tokens) {
  const TokenMean mean = mean_over_rows(std::vector<RowSum>{{1.0, 1}, {9.0, 3}});
  EXPECT_EQ(mean.mean, 2.5);
  // Rests 1 - 2.5 and 9 - 7.5: sqrt(2 / 1 * 4.5) / 4.
  EXPECT_NEAR(mean.standard_error, 0.75, 1e-15);
  EXPECT_TRUE(std::isnan(mean_over_rows(std::vector<RowSum>{{3.0, 2}}).standard_error));
}

TEST(PositionWarning, is_given_beyond_what_the_model_was_made_for) {
  ::shardquant::model::ModelDescription model;
  model.max_position_embeddings = 512;
  model.config_file = "config.json";
  EXPECT_EQ(::shardquant::model::position_warning(model, 512), "");
  EXPECT_NE(::shardquant::model::position_warning(model, 513).find("made for 512 positions"),
            std::string::npos);
}

}  // namespace
}  // namespace shardquant::evaluation
