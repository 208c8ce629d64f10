#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "pipeline/formats/weights/gguf/gguf_codec.hpp"
#include "pipeline/formats/weights/gguf/gguf_model.hpp"
#include "pipeline/formats/weights/gguf/gguf_output.hpp"
#include "tests/support/gguf_bytes.hpp"
#include "tests/support/random_gguf.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/formats/expect_refusal.hpp"
#include "tests/unit/formats/safetensors_bytes.hpp"

namespace shardquant::gguf {
namespace {

namespace fs = std::filesystem;
using tests::raw;
using tests::raw_text;

GgufMetadata template_metadata() {
  std::string tokens = raw<std::uint32_t>(8) + raw<std::uint64_t>(3);
  for (const char* token : {"<s>", "\xff\xfe", ""}) tokens += raw_text(token);
  return GgufMetadata({{"general.architecture", GgufValueType::string, raw_text("llama")},
                       {"split.count", GgufValueType::u16, raw<std::uint16_t>(0)},
                       {"tokenizer.ggml.tokens", GgufValueType::array, tokens},
                       {"general.file_type", GgufValueType::u32, raw<std::uint32_t>(1)},
                       {"llama.rope.freq_base", GgufValueType::f32, raw(10000.0f)}},
                      "template.gguf");
}

// Tensors of every type that can be written, with their bytes.
struct Payload {
  std::vector<GgufTensorSpec> tensors;
  std::vector<std::vector<std::byte>> bytes;

  Payload() {
    std::mt19937 random(31);
    for (const GgufGrid& grid : gguf_grids()) {
      tensors.push_back({fmt::format("blk.{}.w", tensors.size()), grid.type, {512, 3}});
      bytes.emplace_back(tensors.back().bytes());
      const std::int64_t blocks = 3 * 512 / gguf_block_elements(grid.type);
      encode_gguf(grid.type, tests::random_gguf(grid, blocks, random).parts(), bytes.back());
    }
    for (const GgufType type : {GgufType::f32, GgufType::f16, GgufType::bf16}) {
      tensors.push_back({fmt::format("blk.{}.w", tensors.size()), type, {7, 3, 2}});
      bytes.emplace_back(tensors.back().bytes());
      std::vector<float> values(42);
      for (float& value : values) value = static_cast<float>(random() % 1000) - 500.0f;
      encode_gguf_floats(type, values, bytes.back());
    }
  }

  void write(const formats::OutputPlan& plan, const fs::path& folder) const {
    std::vector<std::string> files;
    for (const formats::OutputShard& shard : plan.shards) {
      files.push_back(shard.header);
      files.back().resize(shard.file_bytes, '\0');
    }
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const formats::OutputPlace& place = plan.places[i];
      EXPECT_EQ(place.bytes, std::ssize(bytes[i]));
      EXPECT_EQ(place.offset % 32, 0);
      std::memcpy(files[place.shard].data() + place.offset, bytes[i].data(), bytes[i].size());
    }
    for (std::size_t i = 0; i < files.size(); ++i) {
      tests::write_bytes(folder / plan.shards[i].file_name, files[i]);
    }
  }

  void expect_in(const GgufModel& model) const {
    ASSERT_EQ(model.tensors().size(), tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      EXPECT_EQ(model.tensors()[i], tensors[i]);
      std::vector<std::byte> found(model.at(tensors[i].name).bytes());
      model.read(tensors[i].name, 0, found);
      EXPECT_EQ(found, bytes[i]) << tensors[i].name;
    }
  }
};

std::vector<GgufEntry> entries_of(const GgufMetadata& metadata) {
  return {metadata.entries().begin(), metadata.entries().end()};
}

TEST(GgufModel, OneFileHasMetadataAndTensorsAsGiven) {
  const Payload payload;
  GgufMetadata metadata = template_metadata();
  metadata.set_integer("general.file_type", GgufValueType::u32, 15);
  metadata.set_integer("general.quantization_version", GgufValueType::u32, 2);
  const formats::OutputPlan plan = plan_gguf_output(metadata, payload.tensors, "m", 0);
  ASSERT_EQ(plan.shards.size(), 1u);
  EXPECT_EQ(plan.shards[0].file_name, "m.gguf");
  EXPECT_TRUE(plan.index_json.empty());
  const tests::TempDirectory folder;
  payload.write(plan, folder.path());
  EXPECT_EQ(static_cast<std::int64_t>(fs::file_size(folder.path() / "m.gguf")), plan.file_bytes());
  const GgufModel model(folder.path() / "m.gguf");
  payload.expect_in(model);
  // All but the key of a merged template, in their order, the new one last.
  std::vector<GgufEntry> wanted = entries_of(template_metadata());
  wanted.erase(wanted.begin() + 1);
  wanted[2].value = raw<std::uint32_t>(15);
  wanted.push_back({"general.quantization_version", GgufValueType::u32, raw<std::uint32_t>(2)});
  EXPECT_EQ(entries_of(model.metadata()), wanted);
  EXPECT_EQ(plan.shards[0].header,
            plan_gguf_output(model.metadata(), model.tensors(), "m", 0).shards[0].header);
}

TEST(GgufModel, DecodesRows) {
  const Payload payload;
  const tests::TempDirectory folder;
  payload.write(plan_gguf_output(template_metadata(), payload.tensors, "m", 0), folder.path());
  const GgufModel model(folder.path() / "m.gguf");
  for (std::size_t i = 0; i < payload.tensors.size(); ++i) {
    const GgufTensorSpec& tensor = payload.tensors[i];
    std::vector<float> all(tensor.rows() * tensor.row_elements());
    decode_gguf(tensor.type, payload.bytes[i], all);
    std::vector<float> part(2 * tensor.row_elements());
    model.decode_rows(tensor.name, 1, 2, part);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin() + tensor.row_elements()))
        << describe_gguf(tensor);
  }
}

TEST(GgufModel, NumbersThatAreNotFiniteAreRefused) {
  Payload payload;
  // d of the second row's first block, for Q8_0; the last element of a row of F32.
  const std::uint16_t infinity = 0x7c00;
  std::memcpy(payload.bytes[4].data() + payload.tensors[4].row_bytes(), &infinity, 2);
  const float nan = NAN;
  std::memcpy(payload.bytes[10].data() + 4 * (5 * 7 + 6), &nan, 4);
  const tests::TempDirectory folder;
  payload.write(plan_gguf_output(template_metadata(), payload.tensors, "m", 0), folder.path());
  const GgufModel model(folder.path() / "m.gguf");
  std::vector<float> rows(3 * 512);
  tests::expect_refusal([&] { model.decode_rows("blk.4.w", 0, 3, rows); }, ExitCode::bad_data,
                        {"m.gguf", "blk.4.w", "row 1, element 0 is not finite"});
  rows.resize(3 * 7);
  tests::expect_refusal([&] { model.decode_rows("blk.10.w", 3, 3, rows); }, ExitCode::bad_data,
                        {"m.gguf", "blk.10.w", "row 5, element 6 is not finite"});
  tests::expect_refusal([&] { model.decode_rows("no.weight", 0, 1, rows); }, ExitCode::bad_data,
                        {"m.gguf", "no tensor", "no.weight"});
}

// Parts of at most 1 MiB of data: 640 KiB go into one each, two of 400 KiB into one.
class GgufInParts : public ::testing::Test {
 protected:
  GgufInParts() {
    const auto add = [&](const char* name, std::int64_t kib) {
      payload_.tensors.push_back({name, GgufType::f32, {256, kib}});
      payload_.bytes.emplace_back(kib * 1024, std::byte{1});
    };
    payload_.tensors.clear();
    payload_.bytes.clear();
    add("a", 640);
    add("b", 640);
    add("c", 400);
    add("d", 400);
    add("e", 640);
    GgufMetadata metadata = template_metadata();
    metadata.set_integer("general.alignment", GgufValueType::u32, 64);
    plan_ = plan_gguf_output(metadata, payload_.tensors, "big", 1);
    payload_.write(plan_, folder_.path());
  }
  fs::path part(int index) const { return folder_.path() / plan_.shards.at(index).file_name; }
  // Writes the part again with other metadata.
  void change(int index, const std::function<void(GgufMetadata&)>& change) {
    const GgufFile file(formats::FileHandle::open_for_reading(part(index)));
    GgufMetadata metadata = file.metadata();
    change(metadata);
    const std::vector<GgufTensorSpec> tensors(file.tensors().begin(), file.tensors().end());
    std::string bytes = gguf_header_text(metadata, tensors);
    for (const GgufTensorSpec& tensor : tensors) bytes.append(tensor.bytes(), '\1');
    tests::write_bytes(part(index), bytes);
  }
  void expect_refused(int opened, ExitCode code, std::initializer_list<std::string> parts) {
    tests::expect_refusal([&] { GgufModel model(part(opened)); }, code, parts);
  }

  Payload payload_;
  formats::OutputPlan plan_;
  tests::TempDirectory folder_;
};

TEST_F(GgufInParts, AreNamedAndReadAsOneModel) {
  ASSERT_EQ(plan_.shards.size(), 4u);
  EXPECT_EQ(plan_.shards[0].file_name, "big-00001-of-00004.gguf");
  EXPECT_EQ(plan_.shards[3].file_name, "big-00004-of-00004.gguf");
  std::vector<std::int64_t> shards;
  for (const formats::OutputPlace& place : plan_.places) shards.push_back(place.shard);
  EXPECT_EQ(shards, (std::vector<std::int64_t>{0, 1, 2, 2, 3}));
  const GgufModel model(part(0));
  payload_.expect_in(model);
  EXPECT_EQ(model.metadata().find_string("general.architecture"), "llama");
  EXPECT_EQ(model.metadata().find("split.count")->type, GgufValueType::u16);
  EXPECT_EQ(model.metadata().find("split.tensors.count")->type, GgufValueType::i32);
  EXPECT_EQ(model.metadata().find_integer("split.tensors.count"), 5);
  const GgufFile& second = model.files()[1];
  EXPECT_EQ(second.metadata().find("general.architecture"), nullptr);
  EXPECT_EQ(second.metadata().find_integer("split.no"), 1);
  EXPECT_EQ(second.alignment(), 64);
  // Of a template in parts one file can be made.
  const formats::OutputPlan merged = plan_gguf_output(model.metadata(), model.tensors(), "big", 0);
  const tests::TempDirectory folder;
  payload_.write(merged, folder.path());
  const GgufModel one(folder.path() / "big.gguf");
  payload_.expect_in(one);
  EXPECT_EQ(one.metadata().find("split.no"), nullptr);
}

TEST_F(GgufInParts, ThatDoNotBelongTogetherAreRefused) {
  expect_refused(1, ExitCode::bad_data,
                 {"big-00002", "name the first one", "-00001-of-00004.gguf"});
  change(2, [](GgufMetadata& m) { m.set_integer("split.no", GgufValueType::u16, 3); });
  expect_refused(0, ExitCode::bad_data, {"big-00003", "split.no: 3 instead of 2"});
  change(2, [](GgufMetadata& m) { m.remove("split.no"); });
  expect_refused(0, ExitCode::bad_data, {"big-00003", "split.no: missing instead of 2"});
  change(2, [](GgufMetadata& m) {
    m.set_integer("split.no", GgufValueType::u16, 2);
    m.set_integer("split.count", GgufValueType::u16, 5);
  });
  expect_refused(0, ExitCode::bad_data, {"big-00003", "split.count: 5 instead of 4"});
}

TEST_F(GgufInParts, AreAllThere) {
  fs::remove(part(3));
  expect_refused(0, ExitCode::no_input, {"big-00004-of-00004.gguf"});
  fs::copy_file(part(1), part(3));
  change(3, [](GgufMetadata& m) { m.set_integer("split.no", GgufValueType::u16, 3); });
  expect_refused(0, ExitCode::bad_data, {"big-00004", "tensor \"b\"", "big-00002"});
}

TEST_F(GgufInParts, HaveAsManyTensorsAsTheFirstSays) {
  change(0, [](GgufMetadata& m) { m.set_integer("split.tensors.count", GgufValueType::i32, 6); });
  expect_refused(0, ExitCode::bad_data, {"big-00001", "split.tensors.count: 6", "5 tensors"});
  change(0, [](GgufMetadata& m) { m.set_integer("split.count", GgufValueType::i32, 70'000); });
  expect_refused(0, ExitCode::bad_data, {"big-00001", "split.count", "at most 65535"});
}

TEST(GgufOutput, ANameGivenTwiceIsAFault) {
  const std::vector<GgufTensorSpec> twice(2, {"a", GgufType::f32, {4}});
  tests::expect_refusal([&] { plan_gguf_output({}, twice, "m", 0); }, ExitCode::internal,
                        {"\"a\"", "twice"});
}

TEST(GgufMetadata, IntegersOfEveryType) {
  GgufMetadata metadata({{"i8", GgufValueType::i8, raw<std::int8_t>(-1)},
                         {"u8", GgufValueType::u8, raw<std::uint8_t>(255)},
                         {"i64", GgufValueType::i64, raw<std::int64_t>(INT64_MIN)},
                         {"u64", GgufValueType::u64, raw(UINT64_MAX)},
                         {"i16", GgufValueType::i16, raw<std::int16_t>(32767)},
                         {"f32", GgufValueType::f32, raw(1.0f)},
                         {"text", GgufValueType::string, raw_text("7")}},
                        "x.gguf");
  EXPECT_EQ(metadata.find_integer("u8"), 255);
  EXPECT_EQ(metadata.find_integer("i16"), 32767);
  EXPECT_EQ(metadata.find_integer("none"), std::nullopt);
  EXPECT_EQ(metadata.find_string("text"), "7");
  for (const char* key : {"i8", "i64", "u64"}) {
    tests::expect_refusal([&] { metadata.find_integer(key); }, ExitCode::bad_data,
                          {"x.gguf", key, "out of range"});
  }
  for (const char* key : {"f32", "text"}) {
    tests::expect_refusal([&] { metadata.find_integer(key); }, ExitCode::bad_data,
                          {"x.gguf", key, "must be an integer"});
  }
  tests::expect_refusal([&] { metadata.find_string("u8"); }, ExitCode::bad_data,
                        {"x.gguf", "u8", "must be a string, and is uint8"});
  tests::expect_refusal(
      [] {
        GgufMetadata({{"a", GgufValueType::u8, "1"}, {"a", GgufValueType::u8, "1"}}, "x.gguf");
      },
      ExitCode::bad_data, {"x.gguf", "\"a\"", "given twice"});
}

}  // namespace
}  // namespace shardquant::gguf
