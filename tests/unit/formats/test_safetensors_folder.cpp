#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <map>

#include "pipeline/formats/safetensors_folder.hpp"
#include "tests/support/shared_data.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/formats/safetensors_bytes.hpp"

namespace shardquant::formats {
namespace {

namespace fs = std::filesystem;

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using tests::Outcome;
using tests::outcome_of;
using tests::write_bytes;

// A shard of one-byte tensors; each holds the first letter of its name.
std::string shard_of(const std::vector<std::string>& names) {
  std::string header = "{";
  std::string buffer;
  for (const std::string& name : names) {
    header += fmt::format(R"({}"{}":{{"dtype":"U8","shape":[1],"data_offsets":[{},{}]}})",
                          buffer.empty() ? "" : ",", name, buffer.size(), buffer.size() + 1);
    buffer += name[0];
  }
  return tests::safetensors_bytes(header + '}', buffer);
}

std::string index_of(const std::vector<std::pair<std::string, std::string>>& map,
                     const std::string& total = "2") {
  std::string text = R"({"metadata":{"total_size":)" + total + R"(},"weight_map":{)";
  for (std::size_t i = 0; i < map.size(); ++i) {
    text += fmt::format(R"({}"{}":"{}")", i > 0 ? "," : "", map[i].first, map[i].second);
  }
  return text + "}}";
}

class SafetensorsFolderTest : public ::testing::Test {
 protected:
  void put(const std::string& name, std::string_view bytes) { write_bytes(folder_ / name, bytes); }
  Outcome open(LinkPolicy links = LinkPolicy::contained) {
    return outcome_of([&] { SafetensorsFolder opened(folder_, links); });
  }
  void expect_refused(const std::string& reason, ExitCode code = ExitCode::bad_data,
                      int line = __builtin_LINE()) {
    const Outcome outcome = open();
    EXPECT_EQ(outcome.code, code) << "line " << line << ": " << outcome.text;
    EXPECT_THAT(outcome.text, HasSubstr(reason)) << "line " << line;
  }

  tests::TempDirectory temp_;
  fs::path folder_ = temp_.path() / "model";

 private:
  void SetUp() override { fs::create_directory(folder_); }
};

TEST_F(SafetensorsFolderTest, OpensOneFile) {
  put("model.safetensors", shard_of({"a", "b"}));
  const SafetensorsFolder folder(folder_);
  EXPECT_THAT(folder.names(), ElementsAre("a", "b"));
  EXPECT_EQ(folder.tensor_bytes(), 2);
  EXPECT_THAT(folder.warnings(), IsEmpty());
  EXPECT_EQ(folder.read_all("b"), std::vector<std::byte>{std::byte{'b'}});
  EXPECT_EQ(folder.find("c"), nullptr);
  EXPECT_THAT(outcome_of([&] { folder.at("c"); }).text, HasSubstr("no tensor \"c\""));
}

TEST_F(SafetensorsFolderTest, OpensIndexedShards) {
  put("s1.safetensors", shard_of({"a"}));
  put("s2.safetensors", shard_of({"b"}));
  put("model.safetensors.index.json", index_of({{"b", "s2.safetensors"}, {"a", "s1.safetensors"}}));
  put("consolidated.safetensors", shard_of({"a"}));
  const SafetensorsFolder folder(folder_);
  EXPECT_THAT(folder.names(), ElementsAre("a", "b"));
  EXPECT_THAT(folder.files(), SizeIs(2));
  EXPECT_THAT(folder.file_of("b").name(), HasSubstr("s2.safetensors"));
  EXPECT_THAT(folder.warnings(), ElementsAre(HasSubstr("consolidated.safetensors")));
}

TEST_F(SafetensorsFolderTest, OpensEveryFileWithoutIndexAndSingleFile) {
  put("output-00001-of-00002.safetensors", shard_of({"a"}));
  put("output-00002-of-00002.safetensors", shard_of({"b"}));
  EXPECT_THAT(SafetensorsFolder(folder_).names(), ElementsAre("a", "b"));
  put("model.safetensors", shard_of({"c"}));
  const SafetensorsFolder single(folder_);
  EXPECT_THAT(single.names(), ElementsAre("c"));
  EXPECT_THAT(single.warnings(), SizeIs(2));
}

TEST_F(SafetensorsFolderTest, SameTensorInTwoShards_50) {
  put("s1.safetensors", shard_of({"a"}));
  put("s2.safetensors", shard_of({"a", "b"}));
  expect_refused("tensor \"a\" is in");
  put("model.safetensors.index.json", index_of({{"a", "s1.safetensors"}, {"b", "s2.safetensors"}}));
  expect_refused("places it in s1.safetensors");
}

// A tied head, most often: whether it is needed the model knows.
TEST_F(SafetensorsFolderTest, IndexNamesTensorNotInShard_51) {
  put("s1.safetensors", shard_of({"a"}));
  put("model.safetensors.index.json",
      index_of({{"a", "s1.safetensors"}, {"b", "s1.safetensors"}}, "1"));
  const SafetensorsFolder folder(folder_);
  EXPECT_THAT(folder.names(), ElementsAre("a"));
  EXPECT_THAT(folder.absent(), ElementsAre(std::pair("b", "s1.safetensors")));
  EXPECT_THAT(folder.warnings(), ElementsAre(HasSubstr("tensor \"b\" is not in s1.safetensors")));
}

TEST_F(SafetensorsFolderTest, OneOfANumberedSetIsMissing) {
  put("model-00001-of-00003.safetensors", shard_of({"a"}));
  put("model-00003-of-00003.safetensors", shard_of({"c"}));
  expect_refused("model-00002-of-00003.safetensors is missing", ExitCode::no_input);
  put("model-00002-of-00003.safetensors", shard_of({"b"}));
  EXPECT_THAT(SafetensorsFolder(folder_).names(), ElementsAre("a", "b", "c"));
  put("model.safetensors", shard_of({"d"}));
  fs::remove(folder_ / "model-00002-of-00003.safetensors");
  EXPECT_THAT(SafetensorsFolder(folder_).names(), ElementsAre("d"))
      << "the whole model in one file";
}

TEST_F(SafetensorsFolderTest, ShardHoldsTensorNotInIndex_52) {
  put("s1.safetensors", shard_of({"a", "b"}));
  put("model.safetensors.index.json", index_of({{"a", "s1.safetensors"}}));
  expect_refused("tensor \"b\" is not in model.safetensors.index.json");
}

TEST_F(SafetensorsFolderTest, WrongTotalSizeIsAWarning_53) {
  put("s1.safetensors", shard_of({"a", "b"}));
  for (const std::string total : {"3", "-1", "1e308", "\"2\"", "99999999999999999999"}) {
    put("model.safetensors.index.json",
        index_of({{"a", "s1.safetensors"}, {"b", "s1.safetensors"}}, total));
    EXPECT_THAT(SafetensorsFolder(folder_).warnings(), ElementsAre(HasSubstr("total_size")))
        << total;
  }
  put("model.safetensors.index.json", index_of({{"a", "s1.safetensors"}, {"b", "s1.safetensors"}}));
  EXPECT_THAT(SafetensorsFolder(folder_).warnings(), IsEmpty());
}

TEST_F(SafetensorsFolderTest, MissingPartsAreNamed) {
  EXPECT_EQ(outcome_of([&] { SafetensorsFolder(folder_ / "none"); }).code, ExitCode::no_input);
  expect_refused("no *.safetensors", ExitCode::no_input);
  put("pytorch_model.bin", "x");
  expect_refused("save_pretrained", ExitCode::no_input);
  put("model.gguf", "x");
  expect_refused("GGUF", ExitCode::no_input);
  put("s1.safetensors", shard_of({"a"}));
  put("model.safetensors.index.json", index_of({{"a", "s1.safetensors"}, {"b", "s2.safetensors"}}));
  expect_refused("s2.safetensors", ExitCode::no_input);
  const Outcome outcome = outcome_of([&] { SafetensorsFolder(folder_ / "s1.safetensors"); });
  EXPECT_EQ(outcome.code, ExitCode::no_input);
  EXPECT_THAT(outcome.text, HasSubstr("not a folder"));
}

TEST_F(SafetensorsFolderTest, MalformedIndexIsRefused) {
  put("s1.safetensors", shard_of({"a"}));
  const std::map<std::string, std::string> cases = {
      {"", "not valid JSON"},
      {"[]", "must be an object"},
      {"{}", "\"weight_map\" is missing"},
      {R"({"weight_map":[]})", "must be an object"},
      {R"({"weight_map":{}})", "names no tensor"},
      {R"({"weight_map":{"a":1}})", "must be a string"},
      {R"({"weight_map":{"a":"s1.safetensors","a":"s1.safetensors"}})", "given twice"},
      {R"({"weight_map":{"a":"s1.bin"}})", "does not end in .safetensors"},
      {R"({"weight_map":{"a":".safetensors"}})", "does not end in .safetensors"}};
  for (const auto& [text, reason] : cases) {
    put("model.safetensors.index.json", text);
    expect_refused(reason);
  }
}

// Names in an index that lead elsewhere.
TEST_F(SafetensorsFolderTest, PathsThatLeaveTheFolderAreRefused) {
  write_bytes(temp_.path() / "x.safetensors", shard_of({"a"}));
  fs::create_directory(folder_ / "sub");
  const std::string outside = (temp_.path() / "x.safetensors").string();
  for (const std::string& name :
       {std::string("../x.safetensors"), outside, std::string("sub/../../x.safetensors"),
        std::string("sub\\\\x.safetensors"), std::string(".."), std::string("x\\n.safetensors"),
        std::string("x\\u0000.safetensors"), std::string(4096, 'x') + ".safetensors"}) {
    put("model.safetensors.index.json", index_of({{"a", name}}));
    expect_refused("shard name");
  }
  put("model.safetensors.index.json", index_of({{"a", "s.safetensors"}}));
  fs::create_symlink(outside, folder_ / "s.safetensors");
  expect_refused("leaves the model folder");
  EXPECT_EQ(open(LinkPolicy::follow_all).text, "");

  fs::remove(folder_ / "s.safetensors");
  fs::create_symlink("t.safetensors", folder_ / "s.safetensors");
  fs::create_symlink("sub/../../x.safetensors", folder_ / "t.safetensors");
  expect_refused("leaves the model folder");

  fs::remove(folder_ / "s.safetensors");
  ASSERT_EQ(mkfifo((folder_ / "s.safetensors").c_str(), 0600), 0);
  expect_refused("not a regular file");
}

TEST_F(SafetensorsFolderTest, LinksInsideTheFolderAreFollowed) {
  fs::create_directory(folder_ / "sub");
  put("sub/data", shard_of({"a"}));
  fs::create_symlink("sub/data", folder_ / "model.safetensors");
  EXPECT_EQ(open().text, "");
  fs::create_directory_symlink(folder_, temp_.path() / "alias");
  EXPECT_EQ(outcome_of([&] { SafetensorsFolder(temp_.path() / "alias"); }).text, "");
}

// The cache's owner may keep blobs on another disk: one by one, or all of them.
TEST_F(SafetensorsFolderTest, BlobsOfTheCacheMayLieElsewhere) {
  const fs::path model = temp_.path() / "hub" / "models--org--name";
  const fs::path snapshot = model / "snapshots" / "0123abcd";
  const fs::path store = temp_.path() / "store";
  fs::create_directories(snapshot);
  fs::create_directories(model / "blobs");
  fs::create_directories(store);
  write_bytes(store / "aa11", shard_of({"a"}));
  fs::create_symlink(store / "aa11", model / "blobs" / "aa11");
  fs::create_symlink("../../blobs/aa11", snapshot / "model.safetensors");
  EXPECT_THAT(SafetensorsFolder(snapshot).names(), ElementsAre("a"));

  fs::remove_all(model / "blobs");
  fs::create_directory_symlink(store, model / "blobs");
  EXPECT_THAT(SafetensorsFolder(snapshot).names(), ElementsAre("a"));

  // A link of the snapshot's own that leads past the blobs is none of the cache's.
  fs::remove(snapshot / "model.safetensors");
  fs::create_symlink(store / "aa11", snapshot / "model.safetensors");
  EXPECT_THAT(outcome_of([&] { SafetensorsFolder opened(snapshot); }).text,
              HasSubstr("model.links: follow"));
}

// PATH-CACHE: the layout of the Hugging Face cache.
TEST_F(SafetensorsFolderTest, CacheLayoutIsAccepted) {
  const fs::path model = temp_.path() / "hub" / "models--org--name";
  const fs::path other = temp_.path() / "hub" / "models--org--other";
  const fs::path snapshot = model / "snapshots" / "0123abcd";
  fs::create_directories(snapshot);
  fs::create_directories(model / "blobs");
  fs::create_directories(other / "blobs");
  write_bytes(model / "blobs" / "aa11", shard_of({"a"}));
  write_bytes(model / "blobs" / "bb22", index_of({{"a", "s1.safetensors"}}, "1"));
  write_bytes(other / "blobs" / "aa11", shard_of({"a"}));
  fs::create_symlink("../../blobs/aa11", snapshot / "s1.safetensors");
  fs::create_symlink("../../blobs/bb22", snapshot / "model.safetensors.index.json");
  EXPECT_THAT(SafetensorsFolder(snapshot).names(), ElementsAre("a"));
  fs::create_directory_symlink(snapshot, temp_.path() / "alias");
  EXPECT_THAT(SafetensorsFolder(temp_.path() / "alias").names(), ElementsAre("a"));

  fs::remove(snapshot / "s1.safetensors");
  fs::create_symlink("../../../models--org--other/blobs/aa11", snapshot / "s1.safetensors");
  const Outcome outcome = outcome_of([&] { SafetensorsFolder opened(snapshot); });
  EXPECT_EQ(outcome.code, ExitCode::bad_data);
  EXPECT_THAT(outcome.text, HasSubstr("leaves the model folder"));

  fs::remove(snapshot / "s1.safetensors");
  fs::create_symlink("../../blobs/cc33", snapshot / "s1.safetensors");
  EXPECT_EQ(outcome_of([&] { SafetensorsFolder opened(snapshot); }).code, ExitCode::no_input);
}

TEST_F(SafetensorsFolderTest, ThreadsReadAtTheSameTime) {
  std::string buffer(1 << 20, '\0');
  for (std::size_t i = 0; i < buffer.size(); ++i) buffer[i] = static_cast<char>(i % 251);
  put("model.safetensors",
      tests::safetensors_bytes(
          R"({"a":{"dtype":"U8","shape":[1048576],"data_offsets":[0,1048576]}})", buffer));
  const SafetensorsFolder folder(folder_);
  std::vector<std::future<bool>> readers;
  for (int reader = 0; reader < 4; ++reader) {
    readers.push_back(std::async(std::launch::async, [&, reader] {
      std::vector<std::byte> bytes(1000);
      for (std::int64_t offset = reader * 1000; offset + 1000 <= 1 << 20; offset += 4000) {
        folder.read("a", offset, bytes);
        for (std::int64_t i = 0; i < 1000; ++i) {
          if (bytes[i] != static_cast<std::byte>((offset + i) % 251)) return false;
        }
      }
      return true;
    }));
  }
  for (auto& reader : readers) EXPECT_TRUE(reader.get());
}

TEST(SafetensorsFolderShared, ReadsTheStoriesModels) {
  SKIP_WITHOUT_SHARED("models/stories260K-pad192-sharded");
  const SafetensorsFolder sharded(tests::shared_path("models/stories260K-pad192-sharded"));
  EXPECT_THAT(sharded.files(), SizeIs(3));
  EXPECT_EQ(sharded.tensor_bytes(), 624000);
  EXPECT_THAT(sharded.warnings(), IsEmpty());
  EXPECT_EQ(sharded.at("lm_head.weight").shape, (std::vector<std::int64_t>{512, 64}));
  EXPECT_THAT(SafetensorsFolder(tests::shared_path("models/stories3M")).files(), SizeIs(1));
}

}  // namespace
}  // namespace shardquant::formats
