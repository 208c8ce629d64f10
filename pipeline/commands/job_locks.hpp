#pragma once

#include <optional>
#include <string>

#include "pipeline/checkpoint/run_lock.hpp"
#include "pipeline/config/run_config.hpp"

namespace shardquant::commands {

/// What root holds while a job runs, so that no other job comes into its folders.
class JobLocks {
 public:
  /// Creates the work folder and takes its lock; with `output` also the lock beside the output
  /// folder, which itself is to hold the model alone and appear when there is one.
  /// @throws Failure: cannot_create (another job is there, a read-only file system), no_permission,
  /// io_error
  void take(const config::RunConfig& config, bool output);

  /// Shows that the job lives. Returns a complaint where another job has one of the locks by now,
  /// else an empty text. May be called from another thread once they are taken.
  std::string touch() const;

 private:
  std::optional<checkpoint::RunLock> work_, output_;
};

}  // namespace shardquant::commands
