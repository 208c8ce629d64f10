#include "pipeline/report/memory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string_view>

namespace shardquant::report {

namespace {

// A "Name:  1234 kB" line of a file of /proc, in bytes; 0 where it is missing.
std::int64_t kernel_figure(const char* file, std::string_view name) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    if (line.size() <= name.size() || line[name.size()] != ':' || line.find(name) != 0) continue;
    std::istringstream rest(line.substr(name.size() + 1));
    std::int64_t kibibytes = 0;
    return rest >> kibibytes ? kibibytes * 1024 : 0;
  }
  return 0;
}

}  // namespace

std::int64_t resident_bytes() {
  return kernel_figure("/proc/self/status", "VmRSS");
}

std::int64_t peak_resident_bytes() {
  if (const std::int64_t bytes = kernel_figure("/proc/self/status", "VmHWM"); bytes > 0) {
    return bytes;
  }
  struct rusage usage {};
  return ::getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss * std::int64_t{1024} : 0;
}

bool reset_peak_resident() {
  const int descriptor = ::open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool written = ::write(descriptor, "5", 1) == 1;
  ::close(descriptor);
  return written;
}

std::int64_t available_host_bytes() {
  return kernel_figure("/proc/meminfo", "MemAvailable");
}

std::string bytes_text(std::int64_t bytes) {
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  // 1023.5 and more would be rounded to the four digits of the next unit.
  while (std::abs(value) >= 1023.5 && unit + 1 < kUnits.size()) {
    value /= 1024.0;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  const int decimals = std::abs(value) < 9.995 ? 2 : std::abs(value) < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, kUnits[unit]);
}

}  // namespace shardquant::report
