#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/report/model_card.hpp"

namespace shardquant::tests {
namespace {

using report::ModelCard;
using testing::HasSubstr;
using testing::Not;

ModelCard card() {
  ModelCard card;
  card.model = "stories";
  card.family = "Llama";
  card.parameters = 245760;
  card.bpw = 3.99874;
  card.stored_bpw = 4.375;
  card.head_bits = 6;
  card.weight_bytes = 249856;
  card.objective = "minimax_sum";
  card.calibration = "tiny.utf8";
  card.calibration_rows = 64;
  card.calibration_length = 256;
  card.format = "EXL2";
  card.tag = "exl2";
  card.loaders = {{"ExLlamaV2", "written by the rules of 0.3.2"}};
  card.evaluation = {5.567301, 4.814294, 0.1234567, 1.5, 0.87654, 32, 256, "0123abcd"};
  return card;
}

TEST(ModelCard, has_the_table_that_quantizers_publish) {
  const std::string text = report::model_card_text(card());
  EXPECT_TRUE(text.starts_with("---\n")) << "Hugging Face reads the first lines as YAML";
  EXPECT_THAT(text, HasSubstr("\n# stories, EXL2, 4.00 bits per weight\n"));
  EXPECT_THAT(text,
              HasSubstr("| Bits per weight | Head bits | Size | Perplexity | Unquantized | KL "
                        "divergence | KL, 99th percentile | Same top token |\n"
                        "|---|---|---|---|---|---|---|---|\n"
                        "| 3.9987 | 6 | 244 KiB | 5.56730 | 4.81429 | 0.123457 | 1.500000 | "
                        "87.654 % |\n"));
  EXPECT_THAT(text, HasSubstr("over 32 rows of 256 tokens"));
  EXPECT_THAT(text, HasSubstr("0123abcd"));
  EXPECT_THAT(text, HasSubstr("`minimax_sum`"));
  EXPECT_THAT(text, HasSubstr("| ExLlamaV2 | written by the rules of 0.3.2 |"));
}

TEST(ModelCard, says_what_the_objective_kl_predicts) {
  ModelCard weighted = card();
  weighted.objective = "kl";
  weighted.objective_value = 0.25;
  EXPECT_THAT(
      report::model_card_text(weighted),
      HasSubstr("objective `kl`, squared errors weighted by what each layer was measured "
                "to do to the predictions: a KL divergence of 0.250000 by that model; sum"));
}

TEST(ModelCard, says_where_no_evaluation_was_made) {
  ModelCard plain = card();
  plain.evaluation.reset();
  plain.head_bits = 16;
  const std::string text = report::model_card_text(plain);
  EXPECT_THAT(text, HasSubstr("| 3.9987 | 16 (fp16) | 244 KiB |\n"));
  EXPECT_THAT(text, HasSubstr("were not taken"));
  EXPECT_THAT(text, Not(HasSubstr("Unquantized")));
}

TEST(ModelCard, names_do_not_become_markup) {
  ModelCard hostile = card();
  hostile.model = "a|b\n# c <script>`x`</script> [d](e) & _f_ *g*";
  hostile.calibration = "x | y";
  const std::string text = report::model_card_text(hostile);
  EXPECT_THAT(text, HasSubstr("# a\\|b\\\\n\\# c &lt;script&gt;\\`x\\`&lt;/script&gt; "
                              "\\[d\\](e) &amp; \\_f\\_ \\*g\\*, EXL2"));
  EXPECT_THAT(text, Not(HasSubstr("<script>")));
  EXPECT_THAT(text, HasSubstr("from x \\| y |"));
}

}  // namespace
}  // namespace shardquant::tests
