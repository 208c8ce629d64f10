#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "pipeline/formats/safetensors_writer.hpp"
#include "pipeline/formats/token_stream.hpp"
#include "tests/support/shared_data.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/formats/safetensors_bytes.hpp"

namespace shardquant::formats {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tests::outcome_of;
using tests::write_bytes;

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <class T>
std::vector<T> count_up(std::int64_t count) {
  std::vector<T> values(count);
  std::iota(values.begin(), values.end(), T{0});
  return values;
}

std::vector<std::int32_t> row_of(const TokenStream& stream, std::int64_t row, std::int64_t length,
                                 std::int64_t vocab = 1000) {
  std::vector<std::int32_t> ids(length);
  stream.read_row(row, vocab, ids);
  return ids;
}

class TokenStreamTest : public ::testing::Test {
 protected:
  std::filesystem::path put(const std::string& name, std::string_view bytes) {
    write_bytes(temp_.path() / name, bytes);
    return temp_.path() / name;
  }
  template <class T>
  std::filesystem::path put_tensor(const std::string& tensor, Dtype dtype,
                                   const std::vector<std::int64_t>& shape,
                                   const std::vector<T>& values) {
    const auto layout = lay_out_safetensors(std::vector<TensorSpec>{{tensor, dtype, shape}});
    return put("ids.safetensors", layout.header + bytes_of(values));
  }

 private:
  tests::TempDirectory temp_;
};

TEST_F(TokenStreamTest, CutsAStreamIntoConsecutiveRows) {
  const TokenStream stream(put("t.i32", bytes_of(count_up<std::int32_t>(10))));
  EXPECT_EQ(stream.tokens(), 10);
  EXPECT_EQ(stream.rows_of(4), 2);
  EXPECT_THAT(row_of(stream, 1, 4), ElementsAre(4, 5, 6, 7));
  EXPECT_EQ(stream.rows_of(11), 0);
  stream.require_rows(2, 4);
  const auto outcome = outcome_of([&] { stream.require_rows(3, 4); });
  EXPECT_EQ(outcome.code, ExitCode::bad_data);
  EXPECT_THAT(outcome.text, AllOf(HasSubstr("t.i32"), HasSubstr("only 2 fit")));
  EXPECT_EQ(outcome_of([&] { row_of(stream, 2, 4); }).code, ExitCode::internal);
}

TEST_F(TokenStreamTest, CutsEachRowOfATensor) {
  const TokenStream wide(put_tensor("input_ids", Dtype::i64, {3, 5}, count_up<std::int64_t>(15)));
  EXPECT_EQ(wide.rows_of(5), 3);
  EXPECT_THAT(row_of(wide, 2, 5), ElementsAre(10, 11, 12, 13, 14));
  // Pieces never run from one row of the tensor into the next.
  EXPECT_EQ(wide.rows_of(2), 6);
  EXPECT_THAT(row_of(wide, 2, 2), ElementsAre(5, 6));
  EXPECT_THAT(row_of(wide, 5, 2), ElementsAre(12, 13));
  EXPECT_EQ(wide.rows_of(6), 0);
  const TokenStream narrow(put_tensor("input_ids", Dtype::i32, {2, 3}, count_up<std::int32_t>(6)));
  EXPECT_THAT(row_of(narrow, 1, 3), ElementsAre(3, 4, 5));
}

TEST_F(TokenStreamTest, NamesThePlaceOfAnIdOutsideTheVocabulary) {
  const TokenStream stream(
      put("t.i32", bytes_of(std::vector<std::int32_t>{1, 2, 3, 4, 5, -7, 9, 1})));
  EXPECT_EQ(row_of(stream, 0, 4, 5).back(), 4);
  EXPECT_THAT(
      outcome_of([&] { row_of(stream, 0, 4, 4); }).text,
      AllOf(HasSubstr("token 4 at place 3 (row 0, column 3)"), HasSubstr("vocabulary of 4")));
  EXPECT_THAT(outcome_of([&] { row_of(stream, 1, 4); }).text,
              HasSubstr("token -7 at place 5 (row 1, column 1)"));
  const TokenStream wide(put_tensor("input_ids", Dtype::i64, {1, 2},
                                    std::vector<std::int64_t>{1, (std::int64_t{1} << 32) + 1}));
  EXPECT_EQ(outcome_of([&] { row_of(wide, 0, 2); }).code, ExitCode::bad_data);
}

TEST_F(TokenStreamTest, RefusesWhatIsNoTokenFile) {
  const auto code_of = [](const std::filesystem::path& path) {
    return outcome_of([&] { TokenStream stream(path); }).code;
  };
  EXPECT_EQ(code_of("/nonexistent/t.i32"), ExitCode::no_input);
  EXPECT_EQ(code_of(put("t.i32", "")), ExitCode::bad_data);
  EXPECT_EQ(code_of(put("t.i32", "12345")), ExitCode::bad_data);
  const std::vector<std::int32_t> four = {1, 2, 3, 4};
  EXPECT_EQ(code_of(put_tensor("ids", Dtype::i32, {2, 2}, four)), ExitCode::bad_data);
  EXPECT_EQ(code_of(put_tensor("input_ids", Dtype::i32, {4}, four)), ExitCode::bad_data);
  EXPECT_EQ(code_of(put_tensor("input_ids", Dtype::f32, {2, 2}, four)), ExitCode::bad_data);
  EXPECT_EQ(code_of(put_tensor("input_ids", Dtype::i32, {0, 2}, std::vector<std::int32_t>{})),
            ExitCode::bad_data);
}

TEST_F(TokenStreamTest, ReadsTheStories) {
  SKIP_WITHOUT_SHARED("data/tokens/tinystories_tok512.i32");
  const TokenStream stream(tests::shared_path("data/tokens/tinystories_tok512.i32"));
  EXPECT_EQ(stream.rows_of(256), 508);
  EXPECT_EQ(stream.rows_of(512), 254);
  EXPECT_EQ(row_of(stream, 0, 256, 512)[0], 1);
  row_of(stream, 507, 256, 512);
}

}  // namespace
}  // namespace shardquant::formats
