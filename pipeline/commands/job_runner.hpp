#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/api/backend.hpp"
#include "pipeline/comm/observed_communicator.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/commands/job.hpp"
#include "pipeline/control/run_control.hpp"
#include "pipeline/forecast/memory_plan.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/report/log.hpp"
#include "pipeline/waves/device_link.hpp"

namespace shardquant::commands {

/// Runs the jobs of one command, one after the other, on one model. What they share is opened and
/// checked once: model, backend, device links, the limits of time. All calls are collective.
class JobRunner {
 public:
  /// Opens the model and the backend, and ends the command where ranks, devices, memory or disk are
  /// not what all of the jobs together need. Nothing is created yet. jobs: one or more, with one
  /// model. @throws Failure, as the readers; unavailable, as check_jobs
  JobRunner(comm::Communicator& launched, const RunArguments& arguments, std::span<const Job> jobs);

  /// Runs one job to its end in its work folder, reusing what that holds.
  /// @throws Failure; SharedFailure(try_again) where it was stopped in an orderly way
  void run(const Job& job);

  report::Log& log() { return log_; }

 private:
  void report_start(const forecast::MemoryPlan& memory);
  const std::vector<std::string>& file_hashes();

  const RunArguments& arguments_;
  std::string resume_;  ///< of the next job: what was asked for counts for the first
  comm::Activity activity_;
  comm::ObservedCommunicator comm_;
  report::Log log_;
  std::optional<control::RunControl> control_;
  std::unique_ptr<model::SourceModel> model_;
  std::unique_ptr<kernels::Backend> backend_;
  std::string backend_reason_;
  std::unique_ptr<waves::DeviceLink> device_link_;
  std::string no_link_;                                  ///< why there is none
  std::optional<std::vector<std::string>> file_hashes_;  ///< of the model; on root
};

}  // namespace shardquant::commands
