#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "pipeline/checkpoint/work_folder.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/checkpoint/state_file_cases.hpp"

namespace shardquant::tests {
namespace {

namespace fs = std::filesystem;
using checkpoint::WorkFolder;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

TEST(WorkFolderLayout, HasAPlaceForEveryPart) {
  const WorkFolder work("w");
  EXPECT_EQ(work.resolved_config(), "w/resolved.yaml");
  EXPECT_EQ(work.fingerprint(), "w/fingerprint.txt");
  EXPECT_EQ(work.events(), "w/events.jsonl");
  EXPECT_EQ(work.measurement(), "w/measurement.json");
  EXPECT_EQ(work.plan(), "w/plan.json");
  EXPECT_EQ(work.hessian("model.layers.0.qkv"), "w/hessians/model.layers.0.qkv.h5");
  EXPECT_EQ(work.measurement("lm_head"), "w/measurements/lm_head.h5");
  EXPECT_EQ(work.quantized("lm_head"), "w/quantized/lm_head.h5");
}

TEST(WorkFolderLayout, BorrowsWhatOthersHave) {
  const WorkFolder own("w");
  EXPECT_FALSE(own.borrows_measurement());
  EXPECT_FALSE(own.borrows_hessians());
  const WorkFolder point("w", "m");
  EXPECT_TRUE(point.borrows_measurement());
  EXPECT_TRUE(point.borrows_hessians());
  EXPECT_EQ(point.measurement("lm_head"), "m/measurements/lm_head.h5");
  EXPECT_EQ(point.hessian("model.layers.0.qkv"), "m/hessians/model.layers.0.qkv.h5");
  EXPECT_EQ(point.validation_rows(), "m/validation_rows.i32");
  EXPECT_EQ(point.measurement(), "w/measurement.json");
  EXPECT_EQ(point.fingerprint(), "w/fingerprint.txt");
  EXPECT_EQ(point.quantized("lm_head"), "w/quantized/lm_head.h5");
  const WorkFolder measuring("w", "", "h");
  EXPECT_FALSE(measuring.borrows_measurement());
  EXPECT_TRUE(measuring.borrows_hessians());
  EXPECT_EQ(measuring.hessian("model.layers.0.qkv"), "h/hessians/model.layers.0.qkv.h5");
  EXPECT_EQ(WorkFolder("w", "m", "h").hessian("a"), "h/hessians/a.h5");
}

TEST(WorkFolderLayout, RefusesNamesThatAreNoPlainFileNames) {
  const WorkFolder work("w");
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("../x"), std::string("a/b"),
        std::string("a\\b"), std::string("/a"), std::string(".hidden"), std::string("a\nb"),
        std::string("a\0b", 3), std::string(201, 'a')}) {
    EXPECT_EQ(failure_of([&] { work.hessian(name); }).code(), ExitCode::bad_data) << name;
    EXPECT_EQ(failure_of([&] { work.quantized(name); }).code(), ExitCode::bad_data) << name;
  }
  EXPECT_EQ(work.hessian(std::string(200, 'a')).filename().string().size(), 203u);
}

TEST(WorkFolderCreation, MakesTheFoldersAndMayBeRepeated) {
  const TempDirectory folder;
  const fs::path path = folder.path() / "work";
  WorkFolder::create(path);
  WorkFolder::create(path);
  EXPECT_THAT(entries(path),
              UnorderedElementsAre("hessians", "measurements", "quantized", "evaluation", "hidden",
                                   "heartbeats", "sensitivity"));
}

TEST(WorkFolderCreation, FailsWithTheCodeOfItsCause) {
  const TempDirectory folder;
  const auto code = [](const fs::path& path) {
    return failure_of([&] { WorkFolder::create(path); }).code();
  };
  EXPECT_EQ(code(folder.path() / "absent" / "work"), ExitCode::cannot_create);
  write_bytes(folder.path() / "file", "");
  EXPECT_EQ(code(folder.path() / "file"), ExitCode::cannot_create);
  EXPECT_EQ(code(folder.path() / "file" / "work"), ExitCode::cannot_create);
  write_bytes(folder.path() / "hessians", "");
  EXPECT_EQ(code(folder.path()), ExitCode::cannot_create);
  EXPECT_EQ(code("/proc/shardquant-work"), ExitCode::cannot_create);
}

TEST(WorkFolderCreation, NeedsPermissionToWrite) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const TempDirectory folder;
  fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_EQ(failure_of([&] { WorkFolder::create(folder.path() / "work"); }).code(),
            ExitCode::no_permission);
  EXPECT_EQ(failure_of([&] { WorkFolder::create(folder.path()); }).code(), ExitCode::no_permission);
  fs::permissions(folder.path(), fs::perms::owner_all);
}

TEST(Temporaries, AreRegularFilesNamedAfterTheirWriter) {
  const TempDirectory folder;
  const WorkFolder work = WorkFolder::create(folder.path() / "work");
  const fs::path& root = work.path();
  for (const char* name :
       {"plan.json.tmp.12", "hessians/a.h5.tmp.34", "hidden/b.tmp.5", "quantized/c.h5",
        "quantized/d.tmp.12x", "quantized/d.tmp.", "quantized/d.tmp.-1",
        "quantized/d.tmp.99999999999999999999", ".tmp.12", "measurements/e.h5.bad"}) {
    write_bytes(root / name, "x");
  }
  fs::create_directory(root / "hessians/folder.tmp.12");
  write_bytes(folder.path() / "target", "x");
  fs::create_symlink(folder.path() / "target", root / "hessians/link.tmp.12");
  EXPECT_THAT(work.remove_temporaries(),
              ElementsAre(root / "hessians/a.h5.tmp.34", root / "hidden/b.tmp.5",
                          root / "plan.json.tmp.12"));
  EXPECT_THAT(work.remove_temporaries(), ElementsAre());
  EXPECT_TRUE(fs::exists(root / "quantized/c.h5"));
  EXPECT_TRUE(fs::exists(folder.path() / "target"));
}

TEST(Temporaries, AFolderWithoutPartsHasNone) {
  const TempDirectory folder;
  EXPECT_THAT(WorkFolder(folder.path() / "absent").remove_temporaries(), ElementsAre());
}

TEST(FreeBytes, AgreeWithTheFileSystem) {
  const TempDirectory folder;
  const auto free = static_cast<double>(WorkFolder(folder.path()).free_bytes());
  const auto expected = static_cast<double>(fs::space(folder.path()).available);
  EXPECT_NEAR(free, expected, 0.05 * expected);
  EXPECT_EQ(failure_of([&] { WorkFolder(folder.path() / "absent").free_bytes(); }).code(),
            ExitCode::io_error);
}

}  // namespace
}  // namespace shardquant::tests
