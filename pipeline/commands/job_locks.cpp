#include "pipeline/commands/job_locks.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/work_folder.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::commands {

namespace {

namespace fs = std::filesystem;

void tell_takeover(const checkpoint::RunLock& lock) {
  if (!lock.takeover().empty()) fmt::print(stderr, "shardquant: {}\n", lock.takeover());
}

// What would fail only after hours is looked at now.
void require_writable(const fs::path& output) {
  checkpoint::create_folders_durably(output.parent_path());
  if (fs::exists(output) && ::access(output.c_str(), W_OK | X_OK) != 0) {
    fail(errno == EROFS ? ExitCode::cannot_create : ExitCode::no_permission,
         "{}: the output folder cannot be written to: {}", output.string(), std::strerror(errno));
  }
}

}  // namespace

void JobLocks::take(const config::RunConfig& config, bool output) {
  const auto work = checkpoint::WorkFolder::create(config.work.dir);
  work_.emplace(work.lock());
  tell_takeover(*work_);
  if (!output) return;
  const fs::path& folder = config.output.dir;
  require_writable(folder);
  output_.emplace(folder.parent_path() / ('.' + folder.filename().string() + ".lock"));
  tell_takeover(*output_);
}

std::string JobLocks::touch() const {
  for (const auto* lock : {&work_, &output_}) {
    if (!*lock) continue;
    const std::string complaint = (*lock)->touch();
    if (!complaint.empty()) return complaint;
  }
  return {};
}

}  // namespace shardquant::commands
