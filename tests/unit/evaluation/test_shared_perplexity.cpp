#include <gtest/gtest.h>

#include "kernels/prepare_process.hpp"
#include "pipeline/evaluation/evaluate_rows.hpp"
#include "tests/support/backend_test.hpp"
#include "tests/support/opened_model.hpp"
#include "tests/support/shared_data.hpp"

namespace shardquant::tests {
namespace {

class SharedPerplexity : public BackendTest {
 protected:
  void expect_perplexity(const std::string& model_folder, std::int64_t rows, std::int64_t length,
                         double expected) {
    const OpenedModel opened(shared_path("models/" + model_folder));
    const formats::TokenStream tokens(shared_path("data/tokens/tinystories_tok512.i32"));
    EXPECT_EQ(tokens.rows_of(length), rows);
    const auto losses = evaluation::evaluate_rows(
        *backend, {opened.description, opened.layout, opened.weights}, tokens, {0, rows, length});
    EXPECT_NEAR(evaluation::perplexity(losses), expected, 1e-5 * expected);
  }
};

TEST_P(SharedPerplexity, Stories260K) {
  SKIP_WITHOUT_SHARED("models/stories260K");
  expect_perplexity("stories260K", 508, 256, 4.81429);
}

TEST_P(SharedPerplexity, Stories260KShardedAndPadded) {
  SKIP_WITHOUT_SHARED("models/stories260K-pad192-sharded");
  expect_perplexity("stories260K-pad192-sharded", 254, 512, 4.66242);
}

TEST_P(SharedPerplexity, Stories3M) {
  SKIP_WITHOUT_SHARED("models/stories3M");
  expect_perplexity("stories3M", 508, 256, 7.08892);
}

INSTANTIATE_FOR_BACKENDS(SharedPerplexity);

}  // namespace
}  // namespace shardquant::tests

int main(int argc, char** argv) {
  shardquant::kernels::prefer_fast_blas(argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
