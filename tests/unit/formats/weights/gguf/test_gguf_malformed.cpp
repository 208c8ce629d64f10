#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <functional>

#include "pipeline/formats/weights/gguf/gguf_file.hpp"
#include "tests/support/gguf_bytes.hpp"
#include "tests/unit/formats/count_allocations.hpp"
#include "tests/unit/formats/expect_refusal.hpp"

namespace shardquant::gguf {
namespace {

using tests::GgufDraft;
using tests::raw;
using tests::raw_text;

constexpr std::uint32_t kU8 = 0, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9;

GgufFile open(const std::string& bytes) {
  const int memory = ::memfd_create("gguf", MFD_CLOEXEC);
  formats::FileHandle file(memory, "x.gguf");
  file.write_exact(0, std::as_bytes(std::span(bytes)));
  return GgufFile(std::move(file));
}

// F32 [8, 3] in 96 bytes, Q4_0 [64, 2] in 72 of 96, F16 [5] in 10.
GgufDraft good() {
  GgufDraft draft;
  draft.entries = {
      {"general.architecture", kString, raw_text("llama")},
      {"x.numbers", kArray, raw(kI32) + raw<std::uint64_t>(2) + raw(7) + raw(-1)},
      {"x.names", kArray, raw(kString) + raw<std::uint64_t>(2) + raw_text("a") + raw_text("")},
      {"x.on", kBool, raw<std::uint8_t>(1)},
      {"x.scale", kF32, raw(1.5f)}};
  draft.tensors = {{"a.weight", {8, 3}, 0, 0, {}},
                   {"b.weight", {64, 2}, 2, 96, {}},
                   {"c.weight", {5}, 1, 192, {}}};
  draft.data = std::string(202, 'x');
  return draft;
}

void expect_refused(const std::function<void(GgufDraft&)>& damage,
                    std::initializer_list<std::string> parts) {
  GgufDraft draft = good();
  damage(draft);
  SCOPED_TRACE(*parts.begin());
  tests::expect_refusal([&] { open(draft.bytes()); }, ExitCode::bad_data, {"x.gguf: "});
  tests::expect_refusal([&] { open(draft.bytes()); }, ExitCode::bad_data, parts);
}

TEST(GgufMalformed, TheUndamagedFileIsRead) {
  const GgufFile file = open(good().bytes());
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(describe_gguf(*file.find("b.weight")), "Q4_0 [64, 2]");
  EXPECT_EQ(file.find("b.weight")->bytes(), 72);
  EXPECT_EQ(file.metadata().entries().size(), 5u);
  EXPECT_EQ(file.metadata().find_string("general.architecture"), "llama");
  EXPECT_EQ(file.find("d.weight"), nullptr);
  GgufDraft padded = good();
  padded.data.resize(224, '\0');
  EXPECT_EQ(open(padded.bytes()).tensors().size(), 3u);
  GgufDraft empty;
  EXPECT_TRUE(open(empty.bytes()).tensors().empty());
  EXPECT_TRUE(open(empty.header()).tensors().empty());
}

TEST(GgufMalformed, WhatIsNoGguf) {
  tests::expect_refusal([] { open(""); }, ExitCode::bad_data, {"x.gguf", "not a GGUF file"});
  tests::expect_refusal([] { open("GGUF"); }, ExitCode::bad_data, {"x.gguf", "it was cut"});
  tests::expect_refusal([] { open("version https://git-lfs.github.com/spec/v1"); },
                        ExitCode::bad_data, {"x.gguf", "git lfs pull"});
  expect_refused([](GgufDraft& d) { d.magic = "GGML"; }, {"not a GGUF file"});
  expect_refused([](GgufDraft& d) { d.version = 2; }, {"of version 2; only 3"});
  expect_refused([](GgufDraft& d) { d.version = 4; }, {"of version 4; only 3"});
  expect_refused([](GgufDraft& d) { d.version = 0x03000000; }, {"big endian"});
}

TEST(GgufMalformed, Counts) {
  expect_refused([](GgufDraft& d) { d.tensor_count = UINT64_MAX; }, {"18446744073709551615 tens"});
  expect_refused([](GgufDraft& d) { d.tensor_count = 262'145; }, {"at most 262144"});
  expect_refused([](GgufDraft& d) { d.entry_count = UINT64_MAX; }, {"18446744073709551615 keys"});
  expect_refused([](GgufDraft& d) { d.entry_count = 65'537; }, {"at most 65536"});
  expect_refused([](GgufDraft& d) { d.tensor_count = 200'000; }, {"an empty name"});
  expect_refused([](GgufDraft& d) { d.entry_count = 60'000; }, {"x.gguf: "});
}

TEST(GgufMalformed, Keys) {
  const auto with = [](const std::string& key, std::uint32_t type, const std::string& value) {
    return [=](GgufDraft& d) { d.entries.push_back({key, type, value}); };
  };
  expect_refused(with("x.on", kBool, raw<std::uint8_t>(1)), {"key \"x.on\"", "given twice"});
  expect_refused(with("", kU8, "1"), {"a key has an empty name"});
  expect_refused(with("a\nb", kU8, "1"), {"control character"});
  expect_refused(with(std::string(65'536, 'k'), kU8, "1"), {"longer than 65535"});
  expect_refused(with("k", 13, "1"), {"key \"k\"", "unknown type 13"});
  expect_refused(with("k", UINT32_MAX, "1"), {"key \"k\"", "unknown type 4294967295"});
  expect_refused(with("k", kBool, raw<std::uint8_t>(2)), {"key \"k\"", "neither 0 nor 1"});
  expect_refused(with("k", kString, raw(UINT64_MAX)), {"key \"k\"", "beyond the end"});
  expect_refused(with("k", kString, raw<std::uint64_t>(100'000)), {"key \"k\"", "beyond the end"});
  const std::string huge = raw<std::uint64_t>(std::uint64_t{1} << 61);
  expect_refused(with("k", kArray, raw(kI32) + huge), {"key \"k\"", "times 4 bytes"});
  expect_refused(with("k", kArray, raw(kString) + huge), {"key \"k\"", "beyond the end"});
  expect_refused(with("k", kArray, raw(kArray) + raw<std::uint64_t>(0)), {"array of arrays"});
  expect_refused(with("k", kArray, raw<std::uint32_t>(99) + raw<std::uint64_t>(0)),
                 {"unknown type 99"});
  expect_refused(with("k", kArray, raw(kBool) + raw<std::uint64_t>(2) + raw<std::uint16_t>(0x0201)),
                 {"neither 0 nor 1"});
  for (const std::uint32_t alignment : {0u, 3u, 33u, 0xffffffffu}) {
    expect_refused(with("general.alignment", 4, raw(alignment)), {"general.alignment", "power"});
  }
  expect_refused(with("general.alignment", 10, raw<std::uint64_t>(32)), {"uint32"});
  expect_refused(with("general.alignment", kI32, raw(-32)), {"general.alignment", "range"});
  expect_refused(with("general.alignment", kString, raw_text("32")), {"general.alignment"});
}

TEST(GgufMalformed, Tensors) {
  const auto at = [](std::size_t i, const std::function<void(GgufDraft::Tensor&)>& change) {
    return [=](GgufDraft& d) { change(d.tensors[i]); };
  };
  using Tensor = GgufDraft::Tensor;
  const std::string b = "tensor \"b.weight\"";
  expect_refused(at(1, [](Tensor& t) { t.name = "a.weight"; }), {"\"a.weight\"", "given twice"});
  expect_refused(at(1, [](Tensor& t) { t.name = ""; }), {"a tensor has an empty name"});
  expect_refused(at(1, [](Tensor& t) { t.name = std::string(64, 'n'); }), {"longer than 63"});
  expect_refused(at(1, [](Tensor& t) { t.name = std::string("a\0b", 3); }), {"control"});
  expect_refused(at(1, [](Tensor& t) { t.rank = 0; }), {b, "0 dimensions"});
  expect_refused(at(1, [](Tensor& t) { t.rank = 5; }), {b, "5 dimensions"});
  expect_refused(at(1, [](Tensor& t) { t.rank = UINT32_MAX; }), {b, "4294967295 dimensions"});
  expect_refused(at(1, [](Tensor& t) { t.dims = {64, 0}; }), {b, "dimension 1 is 0"});
  expect_refused(at(1, [](Tensor& t) { t.dims[1] = UINT64_MAX; }), {b, "dimension 1"});
  expect_refused(at(1,
                    [](Tensor& t) {
                      t.dims = {1u << 31, 1u << 31, 1u << 31};
                    }),
                 {b, "overflows"});
  expect_refused(at(1, [](Tensor& t) { t.dims = {(INT64_MAX / 64) * 32}; }), {b, "beyond the end"});
  expect_refused(at(1, [](Tensor& t) { t.dims[0] = 48; }), {b, "multiple of the block of 32"});
  expect_refused(at(1, [](Tensor& t) { t.type = 12; }), {b, "multiple of the block of 256"});
  expect_refused(at(1, [](Tensor& t) { t.type = 5; }), {b, "unknown type 5"});
  expect_refused(at(1, [](Tensor& t) { t.type = UINT32_MAX; }), {b, "unknown type 4294967295"});
  expect_refused(at(1, [](Tensor& t) { t.offset = 64; }), {b, "overlapping", "at 96"});
  expect_refused(at(1, [](Tensor& t) { t.offset = 128; }), {b, "leaving a hole", "at 96"});
  expect_refused(at(1, [](Tensor& t) { t.offset = 97; }), {b, "multiple of the alignment of 32"});
  expect_refused(at(1, [](Tensor& t) { t.offset = UINT64_MAX - 31; }), {b, "begins at byte"});
  expect_refused(at(1, [](Tensor& t) { t.offset = INT64_MAX - 31; }), {b, "begins at byte"});
  expect_refused(at(2, [](Tensor& t) { t.offset = 0; }), {"\"c.weight\"", "overlapping"});
}

TEST(GgufMalformed, LengthOfTheFile) {
  expect_refused([](GgufDraft& d) { d.data.resize(201); },
                 {"tensor \"c.weight\"", "ends 1 bytes beyond", "incomplete"});
  expect_refused([](GgufDraft& d) { d.data.resize(0); }, {"tensor \"a.weight\"", "96 bytes"});
  expect_refused([](GgufDraft& d) { d.data.resize(225); }, {"1 bytes after the last tensor"});
  const std::string whole = good().header();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    tests::expect_refusal([&] { open(whole.substr(0, length)); }, ExitCode::bad_data, {"x.gguf: "});
  }
}

// An alignment other than 32 holds for the data's beginning too.
TEST(GgufMalformed, Alignment) {
  GgufDraft draft = good();
  draft.entries.push_back({"general.alignment", 4, raw<std::uint32_t>(128)});
  draft.alignment = 128;
  draft.tensors[1].offset = 128;
  draft.tensors[2].offset = 256;
  draft.data = std::string(266, 'x');
  const GgufFile file = open(draft.bytes());
  EXPECT_EQ(file.alignment(), 128);
  for (const GgufTensor& tensor : file.tensors()) EXPECT_EQ(tensor.begin % 128, 0);
}

// What a file claims costs no memory: only what it holds does.
TEST(GgufMalformed, MemoryIsBoundedByTheFile) {
  constexpr std::int64_t kMib = std::int64_t{1} << 20;
  GgufDraft claims = good();
  claims.entries.push_back({"k", kArray, raw(kU8) + raw(UINT64_MAX)});
  GgufDraft strings = good();
  std::string value = raw(kString) + raw<std::uint64_t>(1 << 20);
  for (int i = 0; i < 1 << 20; ++i) value += raw_text("");
  strings.entries.push_back({"k", kArray, value});
  const std::string small = claims.bytes();
  const std::string large = strings.bytes();
  tests::start_counting_allocations();
  EXPECT_THROW(open(small), Failure);
  EXPECT_LT(tests::peak_allocated_bytes(), kMib);
  tests::start_counting_allocations();
  EXPECT_EQ(open(large).tensors().size(), 3u);
  // The value of 8 MiB, twice while it grows or is moved.
  EXPECT_LT(tests::peak_allocated_bytes(), 26 * kMib);
}

TEST(GgufMalformed, AFileThatShrinksIsAFailure) {
  const int memory = ::memfd_create("gguf", MFD_CLOEXEC);
  const std::string bytes = good().bytes();
  formats::FileHandle file(memory, "x.gguf");
  file.write_exact(0, std::as_bytes(std::span(bytes)));
  const GgufFile opened(std::move(file));
  ASSERT_EQ(::ftruncate(memory, 300), 0);
  std::vector<std::byte> out(96);
  const GgufTensor& tensor = opened.tensors()[2];
  tests::expect_refusal([&] { opened.read_bytes(tensor, 0, std::span(out).first(10)); },
                        ExitCode::bad_data, {"x.gguf", "cut or replaced"});
  tests::expect_refusal([&] { opened.read_bytes(tensor, 8, std::span(out).first(3)); },
                        ExitCode::internal, {"c.weight"});
}

}  // namespace
}  // namespace shardquant::gguf
