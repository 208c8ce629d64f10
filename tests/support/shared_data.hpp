#pragma once

#include <filesystem>
#include <string>

/// Skips the running test, by name of what is missing, where the shared data folder lacks
/// `relative`.
#define SKIP_WITHOUT_SHARED(relative)                                     \
  if (!std::filesystem::exists(shardquant::tests::shared_path(relative))) \
  GTEST_SKIP() << "shared data absent: " << shardquant::tests::shared_path(relative)

namespace shardquant::tests {

/// Path of an entry of the shared data folder, which may be absent.
inline std::string shared_path(const std::string& relative) {
  return (std::filesystem::path(SHARDQUANT_SHARED_DATA) / relative).lexically_normal().string();
}

}  // namespace shardquant::tests
