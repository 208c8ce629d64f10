#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "pipeline/formats/output_shards.hpp"
#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/formats/safetensors_writer.hpp"
#include "pipeline/formats/shard_file.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/formats/safetensors_bytes.hpp"

namespace shardquant::formats {
namespace {

using ::testing::HasSubstr;
using tests::outcome_of;

// Header text as the reference library (safetensors 0.8.0) serializes these tensors.
TEST(SafetensorsWriter, MatchesTheReferenceSerializer) {
  const std::vector<TensorSpec> tensors = {{"z.q_weight", Dtype::i32, {4, 5}},
                                           {"a.q_groups", Dtype::i16, {6}},
                                           {"b.f16", Dtype::f16, {3}},
                                           {"c.u8", Dtype::u8, {3}},
                                           {"a\"\\\x01\xC3\xA9.f32", Dtype::f32, {2, 0}},
                                           {"i64", Dtype::i64, {1}},
                                           {"u64", Dtype::u64, {1}},
                                           {"f64", Dtype::f64, {}},
                                           {"bool", Dtype::boolean, {5}},
                                           {"u32", Dtype::u32, {1}},
                                           {"i8", Dtype::i8, {1}},
                                           {"u16", Dtype::u16, {1}}};
  const std::string expected =
      R"({"u64":{"dtype":"U64","shape":[1],"data_offsets":[0,8]},)"
      R"("i64":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},)"
      R"("f64":{"dtype":"F64","shape":[],"data_offsets":[16,24]},)"
      "\"a\\\"\\\\\\u0001\xC3\xA9.f32\":"
      R"({"dtype":"F32","shape":[2,0],"data_offsets":[24,24]},)"
      R"("u32":{"dtype":"U32","shape":[1],"data_offsets":[24,28]},)"
      R"("z.q_weight":{"dtype":"I32","shape":[4,5],"data_offsets":[28,108]},)"
      R"("b.f16":{"dtype":"F16","shape":[3],"data_offsets":[108,114]},)"
      R"("u16":{"dtype":"U16","shape":[1],"data_offsets":[114,116]},)"
      R"("a.q_groups":{"dtype":"I16","shape":[6],"data_offsets":[116,128]},)"
      R"("i8":{"dtype":"I8","shape":[1],"data_offsets":[128,129]},)"
      R"("c.u8":{"dtype":"U8","shape":[3],"data_offsets":[129,132]},)"
      R"("bool":{"dtype":"BOOL","shape":[5],"data_offsets":[132,137]}})";
  const SafetensorsLayout layout = lay_out_safetensors(tensors);
  std::string padded = expected;
  padded.resize((padded.size() + 7) / 8 * 8, ' ');
  EXPECT_EQ(layout.header, tests::safetensors_bytes(padded));
  EXPECT_EQ(layout.offsets[0], std::ssize(layout.header) + 28);
  EXPECT_EQ(layout.file_bytes, std::ssize(layout.header) + 137);
}

TEST(SafetensorsWriter, EmptyFileIsValid) {
  const SafetensorsLayout layout = lay_out_safetensors({});
  const tests::TempDirectory folder;
  write_file(folder.path() / "model.safetensors", layout.header, Overwrite::no);
  EXPECT_EQ(SafetensorsFolder(folder.path()).names().size(), 0u);
}

TEST(OutputShards, OneShardHasTheSingleFileName) {
  const OutputPlan plan = plan_output_shards(std::vector<TensorSpec>{{"a", Dtype::f16, {8}}}, 8192);
  ASSERT_EQ(plan.shards.size(), 1u);
  EXPECT_EQ(plan.shards[0].file_name, "model.safetensors");
  EXPECT_EQ(plan.index_json,
            "{\n  \"metadata\": {\n    \"total_size\": 16\n  },\n  \"weight_map\": {\n"
            "    \"a\": \"model.safetensors\"\n  }\n}\n");
}

TEST(OutputShards, KeepModuleOrderAndTheLimitAndSplitNothing) {
  std::vector<TensorSpec> tensors;
  for (int i = 0; i < 9; ++i) {
    tensors.push_back({fmt::format("t{}", 9 - i), Dtype::f16, {i == 4 ? 900'000 : 200'000}});
  }
  const OutputPlan plan = plan_output_shards(tensors, 1);
  // 200000 halves are 0.38 MiB: two to a file; the fifth tensor, 1.7 MiB, has its own.
  const std::vector<std::int64_t> expected = {0, 0, 1, 1, 2, 3, 3, 4, 4};
  for (std::size_t i = 0; i < tensors.size(); ++i) EXPECT_EQ(plan.places[i].shard, expected[i]);
  ASSERT_EQ(plan.shards.size(), 5u);
  EXPECT_EQ(plan.shards[1].file_name, "model-00002-of-00005.safetensors");
  for (std::size_t s = 0; s < 5; ++s) {
    EXPECT_EQ(plan.shards[s].file_bytes <= 1 << 20, s != 2) << s;
  }
  EXPECT_EQ(plan.tensor_bytes, 2 * (8 * 200'000 + 900'000));
}

TEST(OutputShards, LimitCountsTheHeader) {
  const std::vector<TensorSpec> tensors = {{"a", Dtype::u8, {1 << 19}},
                                           {"b", Dtype::u8, {1 << 19}}};
  EXPECT_EQ(plan_output_shards(tensors, 1).shards.size(), 2u);
}

TEST(OutputShards, EveryTensorReadsBackWhereThePlanPutIt) {
  std::mt19937 random(7);
  std::vector<TensorSpec> tensors;
  for (int i = 0; i < 60; ++i) {
    const Dtype dtype = std::array{Dtype::i32, Dtype::i16, Dtype::f16}[random() % 3];
    tensors.push_back({fmt::format("model.layers.{}.t{}", i / 8, random()),
                       dtype,
                       {static_cast<std::int64_t>(random() % 60'000), 2}});
  }
  const OutputPlan plan = plan_output_shards(tensors, 1);
  const tests::TempDirectory folder;
  for (std::size_t s = 0; s < plan.shards.size(); ++s) {
    const OutputShard& shard = plan.shards[s];
    const FileHandle file =
        create_partial(folder.path(), shard.file_name, shard.file_bytes, Overwrite::no);
    file.write_exact(0, std::as_bytes(std::span(shard.header)));
  }
  // Another process writes the tensors.
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const OutputShard& shard = plan.shards[plan.places[i].shard];
    const FileHandle file = open_partial(folder.path(), shard.file_name, shard.file_bytes);
    file.write_exact(plan.places[i].offset,
                     std::vector<std::byte>(plan.places[i].bytes, static_cast<std::byte>(i)));
    file.sync();
  }
  for (const OutputShard& shard : plan.shards) {
    publish_partial(folder.path(), shard.file_name, Overwrite::no);
  }
  write_file(folder.path() / kIndexFileName, plan.index_json, Overwrite::no);

  const SafetensorsFolder written(folder.path());
  EXPECT_TRUE(written.warnings().empty());
  ASSERT_EQ(written.names().size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const TensorInfo& info = written.at(tensors[i].name);
    EXPECT_EQ(info.dtype, tensors[i].dtype);
    EXPECT_EQ(info.shape, tensors[i].shape);
    EXPECT_EQ(info.begin % dtype_bytes(info.dtype), 0);
    EXPECT_EQ(written.read_all(tensors[i].name),
              std::vector<std::byte>(tensors[i].bytes(), static_cast<std::byte>(i)));
  }
}

TEST(OutputShards, NameGivenTwiceIsAFault) {
  const std::vector<TensorSpec> tensors = {{"a", Dtype::f16, {8}}, {"a", Dtype::f16, {8}}};
  const auto outcome = outcome_of([&] { plan_output_shards(tensors, 1); });
  EXPECT_EQ(outcome.code, ExitCode::internal);
  EXPECT_THAT(outcome.text, HasSubstr("\"a\""));
}

}  // namespace
}  // namespace shardquant::formats
