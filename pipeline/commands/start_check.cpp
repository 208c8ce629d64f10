#include "pipeline/commands/start_check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>

#include "pipeline/failure.hpp"
#include "pipeline/report/memory.hpp"

namespace shardquant::commands {

namespace {

using report::bytes_text;

// The ranks of one host, taken together.
struct Host {
  std::int64_t ranks = 0, threads = 0;
  std::set<int> processors;  // of all its ranks
  bool crowded_rank = false;
  std::int64_t memory_needed = 0, memory_available = 0;
  std::set<std::string> devices, identities;
  std::set<std::string> roundings;  // what has its own way of rounding
  std::string shared_device;        // that two ranks have

  std::int64_t memory_left() const { return memory_available - memory_needed; }
};

using Hosts = std::map<std::string, Host>;

Hosts by_host(const std::vector<RankFacts>& ranks) {
  Hosts hosts;
  for (const RankFacts& rank : ranks) {
    Host& host = hosts[rank.host];
    const bool first = host.ranks == 0;
    host.ranks += 1;
    host.threads += rank.threads;
    host.processors.insert(rank.processors.begin(), rank.processors.end());
    host.crowded_rank |= !rank.processors.empty() && rank.threads > std::ssize(rank.processors);
    host.memory_needed += rank.memory_needed;
    host.memory_available =
        first ? rank.memory_available : std::min(host.memory_available, rank.memory_available);
    host.devices.insert(rank.device);
    // Devices of one kind have numbers in their names.
    host.roundings.insert(rank.device_identity.empty() ? rank.device : "a device");
    if (!rank.device_identity.empty() && !host.identities.insert(rank.device_identity).second) {
      host.shared_device = rank.device_identity;
    }
  }
  return hosts;
}

// "n1, n2 and 62 more"
std::string some_of(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 4;
  if (names.size() <= kMost) return fmt::format("{}", fmt::join(names, ", "));
  return fmt::format("{} and {} more", fmt::join(names.begin(), names.begin() + kMost, ", "),
                     names.size() - kMost);
}

// Hosts that are alike share a line.
void describe_devices(const Hosts& hosts, StartReport& report) {
  std::map<std::string, std::vector<std::string>> alike;
  for (const auto& [name, host] : hosts) {
    alike[fmt::format("{} rank(s), {} thread(s), {} processor(s), {}", host.ranks, host.threads,
                      host.processors.size(), fmt::join(host.devices, " and "))]
        .push_back(name);
  }
  for (const auto& [text, names] : alike) {
    report.lines.push_back(fmt::format("devices  {}: {}", some_of(names), text));
  }
}

void judge_devices(const Hosts& hosts, StartReport& report) {
  describe_devices(hosts, report);
  std::set<std::string> roundings;
  std::vector<std::string> crowded, shared;
  for (const auto& [name, host] : hosts) {
    roundings.insert(host.roundings.begin(), host.roundings.end());
    if (!host.shared_device.empty()) shared.push_back(name);
    const bool crowded_host =
        !host.processors.empty() && host.threads > std::ssize(host.processors);
    const bool computes_itself = host.identities.empty();
    if (computes_itself && (host.crowded_rank || crowded_host)) crowded.push_back(name);
  }
  if (!shared.empty()) {
    report.lines.push_back(fmt::format(
        "devices  warning: {}: ranks share a device, as {}: they hold each other up; start as "
        "many on a node as it has devices, by srun with --gpu-bind=none",
        some_of(shared), hosts.at(shared.front()).shared_device));
  }
  if (roundings.size() > 1) {
    report.lines.push_back(
        "devices  warning: not all ranks compute with the same: they round differently, and the "
        "bytes of the output depend on which rank did what");
  }
  if (!crowded.empty()) {
    report.lines.push_back(fmt::format(
        "devices  warning: {}: more threads than processors: lower device.threads, or give each "
        "task more (--cpus-per-task, for srun SRUN_CPUS_PER_TASK)",
        some_of(crowded)));
  }
}

// Of the host with the least to spare.
void judge_memory(const Hosts& hosts, StartReport& report) {
  auto tightest = hosts.end();
  for (auto host = hosts.begin(); host != hosts.end(); ++host) {
    if (host->second.memory_available == 0) continue;
    if (tightest == hosts.end() || host->second.memory_left() < tightest->second.memory_left()) {
      tightest = host;
    }
  }
  if (tightest == hosts.end()) {
    report.lines.push_back("memory   the system does not tell how much is available");
    return;
  }
  const auto& [name, host] = *tightest;
  const std::string figures =
      fmt::format("{}: {} rank(s) need {} at most, {} available", name, host.ranks,
                  bytes_text(host.memory_needed), bytes_text(host.memory_available));
  report.lines.push_back("memory   " + figures);
  if (host.memory_left() < 0) {
    report.shortages.push_back(
        fmt::format("memory of {}: start fewer ranks on a node, or use more nodes (every rank then "
                    "holds fewer calibration rows), or ask for all its memory (--mem=0)",
                    figures));
  }
}

void judge_disks(const std::vector<DiskNeed>& disks, StartReport& report) {
  std::map<std::uint64_t, std::vector<const DiskNeed*>> by_file_system;
  for (const DiskNeed& need : disks) by_file_system[need.file_system].push_back(&need);
  for (const auto& [number, needs] : by_file_system) {
    std::vector<std::string> parts;
    std::int64_t bytes = 0;
    for (const DiskNeed* need : needs) {
      parts.push_back(fmt::format("{} for {} in {}", bytes_text(need->bytes), need->setting,
                                  need->folder.string()));
      bytes += need->bytes;
    }
    const std::int64_t free = needs.front()->free;
    const std::string figures =
        fmt::format("{}, {} free", fmt::join(parts, " and "), bytes_text(free));
    report.lines.push_back("disk     " + figures);
    if (bytes > free) {
      report.shortages.push_back(
          fmt::format("disk: {}: make room, or name folders on another file system, or keep no "
                      "Hessians (quantize.hessians: recompute)",
                      figures));
    }
  }
}

}  // namespace

DiskNeed disk_need(std::string setting, const std::filesystem::path& folder, std::int64_t bytes) {
  std::filesystem::path there = folder;
  std::error_code error;
  while (!std::filesystem::exists(there, error) && there != there.parent_path()) {
    there = there.parent_path();
  }
  struct stat status {};
  struct statvfs figures {};
  if (::stat(there.c_str(), &status) != 0 || ::statvfs(there.c_str(), &figures) != 0) {
    fail(ExitCode::io_error, "{} ({}): free space cannot be told: {}", there.string(), setting,
         std::strerror(errno));
  }
  const auto free =
      static_cast<std::int64_t>(figures.f_bavail) * static_cast<std::int64_t>(figures.f_frsize);
  return {std::move(setting), folder, bytes, free, static_cast<std::uint64_t>(status.st_dev)};
}

StartReport judge_start(const StartFacts& facts) {
  const Hosts hosts = by_host(facts.ranks);
  const std::int64_t found = std::ssize(facts.ranks);
  StartReport report;
  report.lines.push_back(fmt::format(
      "launch   {} rank(s) on {} host(s), {} task(s) started; one build, one command line", found,
      hosts.size(), facts.launched));
  if (facts.launched > found) {
    report.complaints.push_back(
        fmt::format("{} tasks were started, but {} rank(s) know of each other: start them with "
                    "`srun --mpi=pmix` or the mpirun of this program's MPI",
                    facts.launched, found));
  }
  judge_devices(hosts, report);
  judge_memory(hosts, report);
  judge_disks(facts.disks, report);
  return report;
}

}  // namespace shardquant::commands
