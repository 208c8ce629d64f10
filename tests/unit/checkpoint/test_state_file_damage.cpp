#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/stat.h>

#include <cstring>

#include "pipeline/checkpoint/hdf5_check.hpp"
#include "pipeline/checkpoint/state_seal.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/checkpoint/state_file_cases.hpp"

namespace shardquant::tests {
namespace {

using checkpoint::set_aside_damaged;
using checkpoint::state_file_is_valid;
using checkpoint::StateFileReader;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class DamagedStateFile : public testing::Test {
 protected:
  void SetUp() override {
    write_small_file(path, 11);
    good = file_bytes(path);
  }

  // The reader's word on the file: damaged, naming it.
  void expect_damage(const std::string& what) const {
    const Failure failure = failure_of([&] { StateFileReader(path, kKind, kPrint).check_all(); });
    EXPECT_EQ(failure.code(), ExitCode::bad_data) << what;
    EXPECT_THAT(failure.what(), HasSubstr(path.string())) << what;
    EXPECT_FALSE(state_file_is_valid(path, kKind, kPrint)) << what;
  }

  void seal_again(std::string bytes) const {
    write_bytes(path, bytes.substr(0, bytes.size() - 32));
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    checkpoint::append_seal(path, status.st_ino);
  }

  TempDirectory folder;
  std::filesystem::path path = folder.path() / "state.h5";
  std::string good;
};

TEST_F(DamagedStateFile, EveryBitFlipIsDetected) {
  std::mt19937_64 random(1);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const auto put = [&](std::size_t place, int value) {
    file.seekp(static_cast<std::streamoff>(place)).put(static_cast<char>(value)).flush();
  };
  for (int round = 0; round < 2000; ++round) {
    const std::size_t place = random() % good.size();
    put(place, good[place] ^ (1 << random() % 8));
    expect_damage("flip at " + std::to_string(place));
    put(place, good[place]);
  }
  EXPECT_EQ(file_bytes(path), good);
  EXPECT_TRUE(state_file_is_valid(path, kKind, kPrint));
}

TEST_F(DamagedStateFile, EveryTruncationIsDetected) {
  for (std::size_t size = 0; size < good.size(); size = size < 64 ? size + 1 : size + 97) {
    write_bytes(path, good.substr(0, size));
    expect_damage("cut to " + std::to_string(size));
  }
  for (const std::size_t cut : {1u, 31u, 32u, 33u}) {
    write_bytes(path, good.substr(0, good.size() - cut));
    expect_damage("cut by " + std::to_string(cut));
  }
}

TEST_F(DamagedStateFile, ZerosExtraBytesAndForeignFilesAreDetected) {
  write_bytes(path, std::string(good.size(), '\0'));
  expect_damage("zeros");
  for (const std::size_t hole : {0u, 512u, 4096u}) {
    std::string bytes = good;
    bytes.replace(hole, 512, std::string(512, '\0'));
    write_bytes(path, bytes);
    expect_damage("hole at " + std::to_string(hole));
  }
  write_bytes(path, good + 'x');
  expect_damage("one byte more");
  write_bytes(path, good + good);
  expect_damage("twice");
  write_bytes(path, std::string(100, 'x'));
  expect_damage("no state file");
}

TEST_F(DamagedStateFile, FoldersAndPipesAreRefusedWithoutWaiting) {
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  expect_damage("folder");
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  expect_damage("pipe");
}

TEST_F(DamagedStateFile, AMissingFileIsNotValidAndNoInputToRead) {
  std::filesystem::remove(path);
  EXPECT_FALSE(state_file_is_valid(path, kKind, kPrint));
  EXPECT_EQ(failure_of([&] { StateFileReader(path, kKind, kPrint); }).code(), ExitCode::no_input);
}

// Damage that came before the seal, in memory or on the way to the disk, meets the inner checks.
TEST_F(DamagedStateFile, ChunkChecksumsDetectFlipsUnderAValidSeal) {
  const std::vector<float> values = random_floats(1500, 11);
  std::mt19937_64 random(2);
  for (int round = 0; round < 50; ++round) {
    const std::size_t element = random() % values.size() / 128 * 128;
    const std::size_t place =
        good.find(std::string(reinterpret_cast<const char*>(values.data() + element), 64));
    ASSERT_NE(place, std::string::npos);
    std::string bytes = good;
    const std::size_t flip = place + random() % 64;
    bytes[flip] = static_cast<char>(bytes[flip] ^ (1 << random() % 8));
    seal_again(bytes);
    expect_damage("element " + std::to_string(element));
  }
}

TEST_F(DamagedStateFile, DatasetHashDetectsOtherDataUnderValidChecksums) {
  write_bytes(path, good.substr(0, good.size() - 32));
  checkpoint::prepare_hdf5();
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t dataset = H5Dopen2(file, "order", H5P_DEFAULT);
  const std::vector<std::int32_t> other{3, 1, 4};
  ASSERT_GE(H5Dwrite(dataset, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, other.data()), 0);
  H5Dclose(dataset), H5Fclose(file);
  seal_again(file_bytes(path) + std::string(32, ' '));
  expect_damage("other values");
  StateFileReader in(path, kKind, kPrint);
  EXPECT_EQ(in.read<float>("hessian"), random_floats(1500, 11));
  EXPECT_THAT(failure_of([&] { in.read<std::int32_t>("order"); }).what(), HasSubstr("\"order\""));
}

TEST_F(DamagedStateFile, HashIsCheckedWithTheLastPieceAlso) {
  write_bytes(path, good.substr(0, good.size() - 32));
  checkpoint::prepare_hdf5();
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t dataset = H5Dopen2(file, "hessian", H5P_DEFAULT);
  std::vector<float> other = random_floats(1500, 11);
  other[3] += 1.0f;
  ASSERT_GE(H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, other.data()), 0);
  H5Dclose(dataset), H5Fclose(file);
  seal_again(file_bytes(path) + std::string(32, ' '));
  StateFileReader in(path, kKind, kPrint);
  std::vector<float> piece(1499);
  in.begin_dataset<float>("hessian");
  in.read_next(std::span(piece));
  const Failure failure = failure_of([&] { in.read_next(std::span(piece).first(1)); });
  EXPECT_EQ(failure.code(), ExitCode::bad_data);
}

TEST_F(DamagedStateFile, SetAsideKeepsEveryGeneration) {
  EXPECT_EQ(set_aside_damaged(path), path.string() + ".bad");
  EXPECT_EQ(failure_of([&] { set_aside_damaged(path); }).code(), ExitCode::no_input);
  write_bytes(path, "second");
  EXPECT_EQ(set_aside_damaged(path), path.string() + ".bad.2");
  write_bytes(path, "third");
  EXPECT_EQ(set_aside_damaged(path), path.string() + ".bad.3");
  EXPECT_THAT(entries(folder.path()),
              UnorderedElementsAre("state.h5.bad", "state.h5.bad.2", "state.h5.bad.3"));
  EXPECT_EQ(file_bytes(path.string() + ".bad"), good);
  EXPECT_EQ(file_bytes(path.string() + ".bad.3"), "third");
}

}  // namespace
}  // namespace shardquant::tests
