// A set of malformed files, by numbers. 50 to 53 concern folders
// and are in test_safetensors_folder.cpp.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <ctime>

#include "pipeline/formats/model_directory.hpp"
#include "pipeline/formats/safetensors_file.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/formats/count_allocations.hpp"
#include "tests/unit/formats/safetensors_bytes.hpp"

namespace shardquant::formats {
namespace {

using ::testing::HasSubstr;
using tests::outcome_of;
using tests::safetensors_bytes;
using tests::write_bytes;

constexpr std::int64_t kAllocationLimit = 200'000'000;

class SafetensorsMalformed : public ::testing::Test {
 protected:
  // Opens x.safetensors as a shard is opened, within the limits on time and memory.
  tests::Outcome open() {
    tests::start_counting_allocations();
    const std::clock_t start = std::clock();  // of this process: other load does not count
    const tests::Outcome outcome =
        outcome_of([&] { SafetensorsFile(ModelDirectory(folder_.path()).open("x.safetensors")); });
    const auto seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    EXPECT_LT(seconds, SHARDQUANT_TIME_LIMIT_S);
    EXPECT_LT(tests::peak_allocated_bytes(), kAllocationLimit);
    return outcome;
  }

  void expect_refused(const std::string& reason, int line) {
    const tests::Outcome outcome = open();
    EXPECT_EQ(outcome.code, ExitCode::bad_data) << "line " << line << ": " << outcome.text;
    EXPECT_THAT(outcome.text, HasSubstr("x.safetensors")) << "line " << line;
    EXPECT_THAT(outcome.text, HasSubstr(reason)) << "line " << line;
    EXPECT_LT(outcome.text.size(), 2000u) << "line " << line;
  }

  void refuse_file(std::string_view bytes, const std::string& reason, int line = __builtin_LINE()) {
    write_bytes(path_, bytes);
    expect_refused(reason, line);
  }
  // A file of this header and as many zero bytes.
  void refuse_header(std::string_view header, const std::string& reason, std::size_t buffer = 0,
                     int line = __builtin_LINE()) {
    write_bytes(path_, safetensors_bytes(header, std::string(buffer, '\0')));
    expect_refused(reason, line);
  }
  void accept_header(std::string_view header, std::size_t buffer = 0, int line = __builtin_LINE()) {
    write_bytes(path_, safetensors_bytes(header, std::string(buffer, '\0')));
    EXPECT_EQ(open().text, "") << "line " << line;
  }

  tests::TempDirectory folder_;
  std::filesystem::path path_ = folder_.path() / "x.safetensors";
};

TEST_F(SafetensorsMalformed, Length_1_to_7) {
  refuse_file("", "too few");                                                     // 1
  refuse_file("1234567", "too few");                                              // 2
  refuse_file(std::string(8, '\0'), "does not begin with '{'");                   // 3
  refuse_file(std::string("\x10\0\0\0\0\0\0\0{}", 10), "beyond the end");         // 4
  refuse_file(std::string(8, '\xff') + "{}", "at most 100000000");                // 5
  refuse_file(std::string("\0\0\0\0\0\0\0\x80", 8) + "{}", "at most 100000000");  // 6
  write_bytes(path_, std::string("\x01\xe1\xf5\x05\0\0\0\0{", 9));                // 7
  ASSERT_EQ(truncate(path_.c_str(), 100'000'001 + 8), 0);
  expect_refused("at most 100000000", __LINE__);
  // The longest header allowed, but not one: judged by its first byte.
  write_bytes(path_, std::string("\x00\xe1\xf5\x05\0\0\0\0", 8));
  ASSERT_EQ(truncate(path_.c_str(), 100'000'000 + 8), 0);
  expect_refused("does not begin with '{'", __LINE__);
}

TEST_F(SafetensorsMalformed, Text_8_to_16) {
  refuse_header("{\"\xff\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}",
                "not valid JSON",
                4);  // 8
  refuse_header(R"({"\ud800":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", "surrogate",
                4);                                            // 9
  refuse_header("\xEF\xBB\xBF{}", "does not begin with '{'");  // 10
  refuse_header(" {}", "does not begin with '{'");             // 11
  refuse_header("[]", "does not begin with '{'");              // 12
  refuse_header("null", "does not begin with '{'");            // 13
  refuse_header(R"({"a":{"dtype":"F32")", "not valid JSON");   // 14
  refuse_header("{}x", "not valid JSON");                      // 15
  refuse_header(std::string("{}\0", 3), "NUL");                // 15
  std::string deep = R"({"a":)";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  refuse_header(deep, "not an object");  // 16
  deep = R"({"a":{"dtype":"F32","data_offsets":[0,0],"shape":)";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  refuse_header(deep, "nested too deeply");  // 16
}

TEST_F(SafetensorsMalformed, Names_17_to_21) {
  refuse_header(R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                R"("a":{"dtype":"F32","shape":[],"data_offsets":[4,8]}})",
                "given twice", 8);  // 17
  refuse_header(R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                R"("\u0061":{"dtype":"F16","shape":[2],"data_offsets":[4,8]}})",
                "given twice", 8);  // 17
  refuse_header(R"({"a":{"dtype":"F32","shape":[],"shape":[],"data_offsets":[0,4]}})",
                "shape given twice", 4);                                                  // 18
  refuse_header(R"({"__metadata__":{},"__metadata__":{}})", "__metadata__ given twice");  // 19
  refuse_header(R"({"__metadata__":{"k":"a","k":"b"}})", "given twice");                  // 19
  refuse_header(R"({"__metadata__":{"k":1}})", "not a string");                           // 20
  refuse_header(R"({"__metadata__":{"k":{}}})", "not a string");                          // 20
  refuse_header(R"({"__metadata__":"x"})", "not an object");                              // 20
  refuse_header(R"({"__metadata__":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})",
                "not a string", 4);  // 21
}

TEST_F(SafetensorsMalformed, Fields_22_to_33) {
  const auto tensor = [](std::string_view dtype, std::string_view shape, std::string_view offsets) {
    return fmt::format(R"({{"t.w":{{"dtype":{},"shape":{},"data_offsets":{}}}}})", dtype, shape,
                       offsets);
  };
  refuse_header(tensor(R"("F17")", "[1]", "[0,2]"), "unknown dtype \"F17\"", 2);          // 22
  refuse_header(tensor(R"("F4")", "[1]", "[0,2]"), "unknown dtype", 2);                   // 22
  refuse_header(tensor(R"("f32")", "[1]", "[0,4]"), "unknown dtype", 4);                  // 23
  refuse_header(tensor("3", "[1]", "[0,4]"), "dtype is a number", 4);                     // 23
  refuse_header(R"({"t":{"shape":[1],"data_offsets":[0,4]}})", "dtype is missing", 4);    // 24
  refuse_header(R"({"t":{"dtype":"F32","data_offsets":[0,4]}})", "shape is missing", 4);  // 24
  refuse_header(R"({"t":{"dtype":"F32","shape":[1]}})", "data_offsets are missing", 4);   // 24
  refuse_header(R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})",
                "unknown field \"x\"", 4);                                               // 25
  refuse_header(tensor(R"("F32")", "[-1]", "[0,4]"), "dimension is negative", 4);        // 26
  refuse_header(tensor(R"("F32")", "[1]", "[-4,0]"), "offset is negative", 4);           // 26
  refuse_header(tensor(R"("F32")", "[2.0]", "[0,8]"), "not written as an integer", 8);   // 27
  refuse_header(tensor(R"("F32")", "[2e0]", "[0,8]"), "not written as an integer", 8);   // 27
  refuse_header(tensor(R"("F32")", "[18446744073709551617]", "[0,4]"), "too large", 4);  // 28
  refuse_header(tensor(R"("F32")", "[18446744073709551615]", "[0,4]"), "too large", 4);  // 28
  refuse_header(tensor(R"("F32")", "[4194305,4194305,211106198978564]", "[0,4]"), "shape overflows",
                4);                                                                          // 29
  refuse_header(tensor(R"("F32")", "[4294967296,4294967296]", "[0,0]"), "shape overflows");  // 30
  refuse_header(tensor(R"("I32")", "[2,9223372036854775807]", "[0,4]"), "overflow", 4);      // 31
  refuse_header(tensor(R"("I32")", "[4611686018427387904]", "[0,0]"), "bytes overflows");    // 31
  refuse_header(tensor(R"("F32")", "[1]", "[4,0]"), "reversed", 4);                          // 32
  refuse_header(tensor(R"("F32")", "[1]", "[4]"), "not two numbers", 4);                     // 33
  refuse_header(tensor(R"("F32")", "[1]", "[0,4,8]"), "more than two", 4);                   // 33
  refuse_header(tensor(R"("F32")", "1", "[0,4]"), "t.w", 4);
  refuse_header(tensor(R"("F32")", R"(["1"])", "[0,4]"), "shape holds a string", 4);
  refuse_header(tensor(R"("F32")", "{}", "[0,4]"), "t.w", 4);
  refuse_header(tensor(R"("F32")", "[1]", "null"), "data_offsets holds null", 4);
  refuse_header(R"({"t":[1]})", "not an object");
  refuse_header(R"({"t":7})", "not an object");
}

TEST_F(SafetensorsMalformed, Buffer_34_to_41) {
  const std::string one = R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})";
  refuse_header(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[16,32]}})", "hole", 16);  // 34
  std::string attack = "{";
  for (int i = 0; i < 10; ++i) {
    attack += fmt::format(R"({}"t{}":{{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})",
                          i > 0 ? "," : "", i);
  }
  refuse_header(attack + '}', "overlapping", 16);                                         // 35
  refuse_header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "hole", 8);  // 36
  refuse_header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                R"("b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                "hole", 12);                                                            // 37
  write_bytes(path_, safetensors_bytes(one, std::string(16, '\0') + "PK\x03\x04zip"));  // 38
  expect_refused("7 bytes after the last tensor", __LINE__);
  refuse_header("{}", "after the last tensor", 1);                                             // 38
  refuse_header(one, "incomplete", 14);                                                        // 39
  refuse_header(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,16]}})", "span 16", 16);  // 40
  accept_header(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
                R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                R"("c":{"dtype":"F32","shape":[2,0],"data_offsets":[4,4]}})",
                4);  // 41
}

TEST_F(SafetensorsMalformed, Extent_42_to_44) {
  const auto ones = [](int count) {
    std::string text = "1";
    for (int i = 1; i < count; ++i) text += ",1";
    return text;
  };
  const auto ranked = [&](int rank) {
    return fmt::format(R"({{"t":{{"dtype":"U8","shape":[{}],"data_offsets":[0,1]}}}})", ones(rank));
  };
  accept_header(ranked(64), 1);
  refuse_header(ranked(65), "more than 64 dimensions", 1);  // 42

  std::string many = "{";
  for (int i = 0; i < 1'000'000; ++i) {
    many += fmt::format(R"({}"t{}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                        i > 0 ? "," : "", i);
  }
  many += '}';
  ASSERT_LT(std::ssize(many), kMaxHeaderBytes);
  refuse_header(many, "more than 262144 tensors");  // 43

  const auto named = [](std::string_view name) {
    return fmt::format(R"({{"{}":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}})", name);
  };
  refuse_header(named(""), "an empty name", 1);                            // 44
  refuse_header(named("a\\u0000b"), "control character", 1);               // 44
  refuse_header(named("a/b"), "slash", 1);                                 // 44
  refuse_header(named("a\\\\b"), "slash", 1);                              // 44
  refuse_header(named(".."), "with \"..\"", 1);                            // 44
  refuse_header(named(std::string(1 << 20, 'n')), "longer than 1024", 1);  // 44
  accept_header(named(std::string(1024, 'n')), 1);
}

TEST_F(SafetensorsMalformed, Impostors_45_to_47) {
  refuse_file("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9976576152\n",
              "Git LFS pointer");  // 45
  refuse_file("<!DOCTYPE html>\n<html><head><title>403</title></head></html>\n",
              "web page");                                             // 46
  refuse_file("\n  <HTML><body>Not Found</body></HTML>", "web page");  // 46
  const std::string whole = safetensors_bytes(
      R"({"a":{"dtype":"F32","shape":[256],"data_offsets":[0,1024]}})", std::string(1024, 'x'));
  for (std::size_t length = 0; length < whole.size(); length += 13) {
    refuse_file(whole.substr(0, length), "");  // 47
  }
}

TEST_F(SafetensorsMalformed, ShrinkingFile_48) {
  write_bytes(path_,
              safetensors_bytes(R"({"a":{"dtype":"U8","shape":[65536],"data_offsets":[0,65536]}})",
                                std::string(65536, 'x')));
  const SafetensorsFile file(FileHandle::open_for_reading(path_));
  std::vector<std::byte> bytes(65536);
  file.read_bytes(file.tensors()[0], 0, bytes);
  EXPECT_EQ(bytes[65535], std::byte{'x'});
  ASSERT_EQ(truncate(path_.c_str(), 30000), 0);
  const auto outcome = outcome_of([&] { file.read_bytes(file.tensors()[0], 0, bytes); });
  EXPECT_EQ(outcome.code, ExitCode::bad_data);
  EXPECT_THAT(outcome.text, ::testing::AllOf(HasSubstr("x.safetensors"), HasSubstr("too early")));
}

TEST_F(SafetensorsMalformed, SpecialFiles_49) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  expect_refused("not a regular file", __LINE__);
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  expect_refused("not a regular file", __LINE__);
  std::filesystem::remove(path_);
  std::filesystem::create_symlink("x.safetensors", path_);
  expect_refused("loop", __LINE__);
  std::filesystem::remove(path_);
  std::filesystem::create_symlink("/dev/zero", path_);
  expect_refused("leaves the model folder", __LINE__);
  std::filesystem::remove(path_);
  if (mknod(path_.c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0) {
    expect_refused("not a regular file", __LINE__);
  }
}

TEST_F(SafetensorsMalformed, OddByteOffset_54) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("b":{"dtype":"BF16","shape":[2],"data_offsets":[1,5]},)"
                             R"("c":{"dtype":"F16","shape":[1],"data_offsets":[5,7]}})";
  write_bytes(path_, safetensors_bytes(header,
                                       "\x01"
                                       "ab"
                                       "cd"
                                       "ef"));
  ASSERT_EQ(open().text, "");
  const SafetensorsFile file(FileHandle::open_for_reading(path_));
  std::array<std::byte, 2> bytes{};
  file.read_bytes(*file.find("b"), 2, bytes);
  EXPECT_EQ(bytes[0], std::byte{'c'});
  file.read_bytes(*file.find("c"), 0, bytes);
  EXPECT_EQ(bytes[1], std::byte{'f'});
}

// Not in the set: headers of the greatest length that are right, in time and memory.
TEST_F(SafetensorsMalformed, LargestHeaders) {
  std::string many = "{";
  for (int i = 0; i < kMaxTensorsPerFile; ++i) {
    many += fmt::format(R"({}"model.layers.{}.mlp.experts.w":{{"dtype":"U8","shape":[0,4],)"
                        R"("data_offsets":[0,0]}})",
                        i > 0 ? "," : "", i);
  }
  accept_header(many + '}');
}

}  // namespace
}  // namespace shardquant::formats
