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
  card.folder_bpw = 4.8;
  card.weight_bytes = 249856;
  card.plain_bytes = 1040000;
  card.base_model = "karpathy/stories";
  card.license = "license: other\nlicense_name: story\n";
  card.prompt_format = "ChatML: `x`";
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

TEST(ModelCard, begins_with_metadata_of_the_hub_and_the_verdict) {
  const std::string text = report::model_card_text(card());
  EXPECT_TRUE(
      text.starts_with("---\nlicense: other\nlicense_name: story\nbase_model: karpathy/stories\n"
                       "base_model_relation: quantized\npipeline_tag: text-generation\n"
                       "quantized_by: shardquant\ntags:\n- exl2\n---\n\n# stories"))
      << text;
  EXPECT_LT(text.find("24 % of the unquantized model's"), text.find("| Bits per weight |"));
  EXPECT_THAT(text, HasSubstr("4.80 bits for each of its weights"));
  EXPECT_THAT(text, HasSubstr("(+15.64 %, lower is better)"));
  EXPECT_THAT(
      text, HasSubstr("hf download OWNER/stories-exl2-4.00bpw --local-dir stories-exl2-4.00bpw\n"));
  EXPECT_THAT(text, HasSubstr("Prompt format: ChatML: `x`."));
  EXPECT_THAT(text, HasSubstr("xxh128sum -c checksums.xxh128"));
  EXPECT_THAT(text, HasSubstr("| License | other, that of the model |"));
}

TEST(ModelCard, says_nothing_of_the_hub_that_is_not_known) {
  ModelCard unknown = card();
  unknown.base_model.clear();
  unknown.license.clear();
  unknown.model = "me/a b$(rm)";
  const std::string text = report::model_card_text(unknown);
  EXPECT_THAT(text, Not(HasSubstr("base_model")));
  EXPECT_THAT(text, Not(HasSubstr("license:")));
  EXPECT_THAT(text, HasSubstr("--local-dir abrm-exl2-4.00bpw\n"));
}

TEST(ModelCard, sizes_have_a_place_of_their_own) {
  const std::string plain = report::model_card_text(card());
  EXPECT_EQ(report::with_siblings(plain, {}), plain);
  const std::vector<ModelCard::Sibling> sizes = {{"out-4", 4.0, 249856, 5.5},
                                                 {"o|5", 5.0, 312320, 0}};
  const std::string text = report::with_siblings(plain, sizes);
  EXPECT_THAT(text, HasSubstr("## Sizes\n\n| Folder | Bits per weight | Size | Perplexity |\n"));
  EXPECT_THAT(text, HasSubstr("| out-4 | 4.0000 | 244 KiB | 5.50000 |\n"));
  EXPECT_THAT(text, HasSubstr("| o\\|5 | 5.0000 | 305 KiB | - |\n"));
  EXPECT_EQ(report::with_siblings(text, sizes), text);
  EXPECT_EQ(report::with_siblings(text, {}), plain)
      << "a sweep's table does not make it another card";
  EXPECT_EQ(report::with_siblings("mine", sizes), "mine");
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
