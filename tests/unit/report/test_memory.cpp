#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <limits>

#include "pipeline/report/memory.hpp"

namespace shardquant::tests {
namespace {

constexpr std::int64_t kBlock = std::int64_t{64} << 20;

// Touches memory and gives it back to the system, which an allocator need not do.
void use_block() {
  void* block = ::mmap(nullptr, kBlock, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(block, MAP_FAILED);
  std::memset(block, 1, kBlock);
  EXPECT_EQ(static_cast<volatile const char*>(block)[kBlock - 1], 1);
  ::munmap(block, kBlock);
}

TEST(ResidentMemory, PeakKeepsWhatWasGivenBack) {
  const std::int64_t before = report::resident_bytes();
  if (before == 0) GTEST_SKIP() << "/proc/self/status: not readable here";
  use_block();
  EXPECT_LT(report::resident_bytes(), before + kBlock / 2);
  EXPECT_GE(report::peak_resident_bytes(), before + kBlock * 9 / 10);
}

TEST(ResidentMemory, PeakCanBeReset) {
  use_block();
  const std::int64_t peak = report::peak_resident_bytes();
  if (!report::reset_peak_resident()) GTEST_SKIP() << "/proc/self/clear_refs: not writable here";
  EXPECT_LT(report::peak_resident_bytes(), peak - kBlock / 2);
  EXPECT_GE(report::peak_resident_bytes(), report::resident_bytes() - (1 << 20));
}

TEST(HostMemory, SomeIsAvailable) {
  const std::int64_t bytes = report::available_host_bytes();
  if (bytes == 0) GTEST_SKIP() << "/proc/meminfo: not readable here";
  EXPECT_GT(bytes, 1 << 20);
}

TEST(BytesText, HasThreeDigitsAndABinaryUnit) {
  const auto text = [](double bytes) {
    return report::bytes_text(static_cast<std::int64_t>(bytes));
  };
  EXPECT_EQ(text(0), "0 B");
  EXPECT_EQ(text(1023), "1023 B");
  EXPECT_EQ(text(1024), "1.00 KiB");
  EXPECT_EQ(text(10235), "10.0 KiB");
  EXPECT_EQ(text(1.52 * 1024 * 1024 * 1024), "1.52 GiB");
  EXPECT_EQ(text(99.96 * 1024 * 1024), "100 MiB");
  EXPECT_EQ(text(1023.6 * 1024 * 1024), "1.00 GiB");
  EXPECT_EQ(report::bytes_text(std::numeric_limits<std::int64_t>::max()), "8.00 EiB");
  EXPECT_EQ(text(-2048), "-2.00 KiB");
}

}  // namespace
}  // namespace shardquant::tests
