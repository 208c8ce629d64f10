#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "pipeline/checkpoint/run_fingerprint.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/checkpoint/state_file_cases.hpp"

namespace shardquant::tests {
namespace {

using checkpoint::RunFingerprint;
using testing::ElementsAre;
using testing::HasSubstr;

RunFingerprint sample() {
  RunFingerprint print;
  print.add("model", "a1b2");
  print.add("calibration.rows", "64");
  print.add("notes", "two\nlines, a \\, = and \x7f µ");
  return print;
}

TEST(RunFingerprintText, IsOneLinePerFieldAndReadsBackEqual) {
  const RunFingerprint print = sample();
  EXPECT_THAT(print.text(), HasSubstr("\ncalibration.rows = 64\n"));
  EXPECT_THAT(print.text(), HasSubstr("\nnotes = two\\x0alines, a \\\\, = and \\x7f µ\n"));
  EXPECT_EQ(RunFingerprint::parse(print.text(), "f"), print);
  EXPECT_EQ(RunFingerprint::parse(RunFingerprint().text(), "f"), RunFingerprint());
}

TEST(RunFingerprintText, HashDependsOnNamesValuesAndOrder) {
  RunFingerprint a, b, c, d;
  a.add("x", "1"), a.add("y", "2");
  b.add("x", "1"), b.add("y", "3");
  c.add("y", "2"), c.add("x", "1");
  d.add("x", "1"), d.add("z", "2");
  EXPECT_EQ(a.hex().size(), 32u);
  EXPECT_NE(a.hex(), b.hex());
  EXPECT_NE(a.hex(), c.hex());
  EXPECT_NE(a.hex(), d.hex());
}

TEST(RunFingerprintText, EveryChangedByteIsNoticed) {
  const RunFingerprint print = sample();
  std::mt19937 random(1);
  const std::string text = print.text();
  for (std::size_t place = 0; place < text.size(); ++place) {
    std::string damaged = text;
    damaged[place] = static_cast<char>(damaged[place] ^ (1 << random() % 8));
    EXPECT_EQ(failure_of([&] { RunFingerprint::parse(damaged, "f"); }).code(), ExitCode::bad_data)
        << damaged;
    EXPECT_EQ(failure_of([&] { RunFingerprint::parse(text.substr(0, place), "f"); }).code(),
              ExitCode::bad_data);
  }
  const Failure failure =
      failure_of([&] { RunFingerprint::parse(text + "more = 1\n", "work/fingerprint.txt"); });
  EXPECT_THAT(failure.what(), HasSubstr("work/fingerprint.txt:6: text after the hash"));
}

TEST(RunFingerprintText, WrongOrRepeatedNamesAreInternal) {
  RunFingerprint print = sample();
  for (const char* name : {"", "a b", "model", "hash", "a=b", "a\n"}) {
    EXPECT_EQ(failure_of([&] { print.add(name, "1"); }).code(), ExitCode::internal) << name;
  }
}

TEST(RunFingerprintDifferences, NameTheFieldsOfBothSides) {
  RunFingerprint ours, theirs;
  ours.add("same", "1"), ours.add("changed", "2"), ours.add("ours", "3");
  theirs.add("theirs", "4"), theirs.add("changed", "5"), theirs.add("same", "1");
  std::vector<std::string> shown;
  for (const auto& d : ours.differences(theirs)) {
    shown.push_back(d.field + ":" + d.ours + ":" + d.theirs);
  }
  EXPECT_THAT(shown, ElementsAre("changed:2:5", "ours:3:(absent)", "theirs:(absent):4"));
  EXPECT_TRUE(ours.differences(ours).empty());
}

TEST(RunFingerprintDifferences, AFieldWithTheTextAbsentIsNotAMissingOne) {
  RunFingerprint ours, theirs;
  ours.add("field", "(absent)");
  EXPECT_EQ(ours.differences(theirs).size(), 1u);
  EXPECT_EQ(theirs.differences(ours).size(), 1u);
  EXPECT_TRUE(ours.differences(ours).empty());
}

TEST(StoredFingerprint, IsStoredOnceAndMatchedLater) {
  const TempDirectory folder;
  const std::filesystem::path path = folder.path() / "fingerprint.txt";
  EXPECT_TRUE(checkpoint::match_or_store_fingerprint(path, sample()).is_new);
  EXPECT_FALSE(checkpoint::match_or_store_fingerprint(path, sample()).is_new);
  EXPECT_EQ(checkpoint::load_fingerprint(path), sample());
  EXPECT_THAT(entries(folder.path()), ElementsAre("fingerprint.txt"));
}

TEST(StoredFingerprint, AMismatchNamesFileFieldsAndRemedy) {
  const TempDirectory folder;
  const std::filesystem::path path = folder.path() / "fingerprint.txt";
  checkpoint::store_fingerprint(path, sample());
  const std::string before = file_bytes(path);
  RunFingerprint other;
  other.add("model", "a1b2"), other.add("calibration.rows", "128"), other.add("notes", "x");
  const Failure failure = failure_of([&] { checkpoint::match_or_store_fingerprint(path, other); });
  EXPECT_EQ(failure.code(), ExitCode::bad_data);
  EXPECT_THAT(failure.what(), HasSubstr(path.string()));
  EXPECT_THAT(failure.what(),
              HasSubstr("calibration.rows: \"128\" in this run, \"64\" in the folder"));
  EXPECT_THAT(failure.what(), HasSubstr("notes: "));
  EXPECT_THAT(failure.what(), HasSubstr("work.dir"));
  EXPECT_THAT(failure.what(), testing::Not(HasSubstr("model: ")));
  EXPECT_EQ(file_bytes(path), before);
}

TEST(StoredFingerprint, OneAcceptedFieldMayDifferAndTheStoredOneStaysInForce) {
  const TempDirectory folder;
  const std::filesystem::path path = folder.path() / "fingerprint.txt";
  RunFingerprint stored, ours;
  stored.add("build", "1"), stored.add("model", "m");
  ours.add("build", "2"), ours.add("model", "m");
  checkpoint::store_fingerprint(path, stored);
  EXPECT_EQ(failure_of([&] { checkpoint::match_or_store_fingerprint(path, ours); }).code(),
            ExitCode::bad_data);
  EXPECT_EQ(checkpoint::match_or_store_fingerprint(path, ours, "build").in_force, stored);
  RunFingerprint other;
  other.add("build", "2"), other.add("model", "n");
  EXPECT_EQ(
      failure_of([&] { checkpoint::match_or_store_fingerprint(path, other, "build"); }).code(),
      ExitCode::bad_data);
}

TEST(StoredFingerprint, DamageAndMissingFoldersHaveTheirCodes) {
  const TempDirectory folder;
  const std::filesystem::path path = folder.path() / "fingerprint.txt";
  write_bytes(path, "");
  const auto match = checkpoint::match_or_store_fingerprint(path, sample());
  EXPECT_TRUE(match.is_new);
  EXPECT_EQ(match.set_aside, path.string() + ".bad");
  EXPECT_EQ(checkpoint::load_fingerprint(path), sample());
  write_bytes(path, std::string(2 << 20, 'x'));
  EXPECT_EQ(failure_of([&] { checkpoint::load_fingerprint(path); }).code(), ExitCode::bad_data);
  EXPECT_EQ(failure_of([&] {
              checkpoint::match_or_store_fingerprint(folder.path() / "no" / "f", sample());
            }).code(),
            ExitCode::cannot_create);
}

}  // namespace
}  // namespace shardquant::tests
