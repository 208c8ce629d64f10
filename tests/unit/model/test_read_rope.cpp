#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/failure.hpp"
#include "pipeline/model/read_rope.hpp"

namespace shardquant::model {
namespace {

using testing::HasSubstr;

RopeSettings read(const std::string& config) {
  const auto json = formats::JsonText::parse(config, "config.json");
  return read_rope(json.root());
}

std::string refusal_of(const std::string& config) {
  try {
    read(config);
  } catch (const Failure& failure) {
    return failure.what();
  }
  return "accepted";
}

// Both dictionaries are one thing; what RoPE settings of transformers 5.24 say of each config.
TEST(ReadRope, theta_inside_either_dictionary_counts_before_one_beside_it) {
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    const std::string dictionary = std::string("\"") + name + "\": ";
    EXPECT_EQ(read("{" + dictionary + R"({"rope_theta": 5e5, "rope_type": "default"}})").theta,
              5e5);
    EXPECT_EQ(read("{" + dictionary + R"({"rope_theta": 5e5}, "rope_theta": 1e6})").theta, 5e5);
    EXPECT_EQ(
        read("{" + dictionary + R"({"type": "linear", "factor": 2}, "rope_theta": 1e6})").theta,
        1e6);
    EXPECT_EQ(read("{" + dictionary + R"({"rope_type": "default"}})").theta, 1e4);
    EXPECT_EQ(read("{" + dictionary + R"(null, "rope_theta": 1e6})").theta, 1e6);
    EXPECT_EQ(
        read("{" + dictionary + R"({"rope_type": "linear", "type": "x", "factor": 2}})").factor,
        2.0);
  }
  EXPECT_EQ(read("{}").theta, 1e4);
  EXPECT_EQ(
      read(R"({"rope_scaling": {"rope_theta": 1}, "rope_parameters": {"rope_theta": 2}})").theta,
      1.0);
  EXPECT_EQ(read(R"({"rope_scaling": {}, "rope_parameters": {"rope_theta": 2}})").theta, 2.0);
}

TEST(ReadRope, llama3_knows_where_its_original_positions_are) {
  const std::string factors =
      R"("rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4)";
  const auto original = [](const std::string& config) {
    const RopeSettings rope = read(config);
    EXPECT_EQ(rope.scaling, RopeScalingKind::llama3);
    return rope.original_max_position_embeddings;
  };
  EXPECT_EQ(original("{\"max_position_embeddings\": 4096, \"rope_scaling\": {" + factors + "}}"),
            4096);
  EXPECT_EQ(
      original("{\"rope_scaling\": {" + factors + ", \"original_max_position_embeddings\": 8192}}"),
      8192);
  EXPECT_EQ(original("{\"original_max_position_embeddings\": 1024, \"rope_parameters\": {" +
                     factors + ", \"original_max_position_embeddings\": 8192}}"),
            1024);
  EXPECT_EQ(read("{\"rope_scaling\": {\"rope_theta\": 5e5, " + factors + "}}").theta, 5e5);
}

TEST(ReadRope, refuses_what_the_forward_pass_does_not_do) {
  EXPECT_THAT(refusal_of(R"({"rope_parameters": {"rope_type": "yarn", "factor": 2}})"),
              HasSubstr("rope_parameters.rope_type: the RoPE scaling \"yarn\""));
  EXPECT_THAT(refusal_of(R"({"partial_rotary_factor": 0.5})"), HasSubstr("in part"));
  EXPECT_THAT(refusal_of(R"({"rope_parameters": {"partial_rotary_factor": 0.5}})"),
              HasSubstr("in part"));
  EXPECT_THAT(refusal_of(R"({"rope_parameters": {"full_attention": {"rope_theta": 1e6}}})"),
              HasSubstr("for each type of layer"));
  EXPECT_THAT(refusal_of(R"({"rope_scaling": {"factor": 2}})"), HasSubstr("rope_type"));
  EXPECT_THAT(refusal_of(R"({"rope_scaling": "linear"})"), HasSubstr("rope_scaling"));
}

}  // namespace
}  // namespace shardquant::model
