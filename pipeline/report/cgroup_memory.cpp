#include "pipeline/report/cgroup_memory.hpp"

#include <algorithm>
#include <fstream>
#include <string>
#include <string_view>

namespace shardquant::report {

namespace {

namespace fs = std::filesystem;

// Names of the files of one version.
struct Names {
  const char *limit, *usage, *droppable;
};
constexpr Names kSecond{"memory.max", "memory.current", "inactive_file"};
constexpr Names kFirst{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};

// The number in a file; -1 where there is none ("max").
std::int64_t number_in(const fs::path& path) {
  std::ifstream stream(path);
  std::int64_t number = -1;
  return stream >> number ? number : -1;
}

std::int64_t stat_of(const fs::path& group, std::string_view name) {
  std::ifstream stream(group / "memory.stat");
  std::string key;
  for (std::int64_t value = 0; stream >> key >> value;) {
    if (key == name) return value;
  }
  return 0;
}

// Without a limit, version 1 has one of about 2^63.
constexpr std::int64_t kNoLimit = std::int64_t{1} << 60;

// Of a group and all above it; -1 without a limit.
std::int64_t available_in(const fs::path& mount, const std::string& group, const Names& names) {
  std::int64_t least = -1;
  for (fs::path part = fs::path(group).relative_path();; part = part.parent_path()) {
    const fs::path folder = mount / part;
    const std::int64_t limit = number_in(folder / names.limit);
    if (limit >= 0 && limit < kNoLimit) {
      const std::int64_t usage = number_in(folder / names.usage) - stat_of(folder, names.droppable);
      const std::int64_t left = std::max<std::int64_t>(limit - std::max<std::int64_t>(usage, 0), 0);
      least = least < 0 ? left : std::min(least, left);
    }
    if (part.empty()) return least;
  }
}

}  // namespace

std::int64_t cgroup_available_bytes(const CgroupFiles& files) {
  std::int64_t least = -1;
  const auto take = [&](std::int64_t available) {
    if (available >= 0) least = least < 0 ? available : std::min(least, available);
  };
  std::ifstream own(files.own);
  // number:controllers:path
  for (std::string line; std::getline(own, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = ',' + line.substr(first + 1, second - first - 1) + ',';
    const std::string group = line.substr(second + 1);
    if (controllers == ",,") {
      take(available_in(files.mount, group, kSecond));
      take(available_in(files.mount / "unified", group, kSecond));
    } else if (controllers.find(",memory,") != std::string::npos) {
      take(available_in(files.mount / "memory", group, kFirst));
    }
  }
  return least;
}

}  // namespace shardquant::report
