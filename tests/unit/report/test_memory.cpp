#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <memory>

#include "pipeline/report/memory.hpp"

namespace shardquant::tests {
namespace {

constexpr std::int64_t kBlock = std::int64_t{64} << 20;

// Touches memory and gives it back.
void use_block() {
  const auto block = std::make_unique<char[]>(kBlock);
  std::memset(block.get(), 1, kBlock);
  volatile const char* touched = block.get();
  EXPECT_EQ(touched[kBlock - 1], 1);
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
