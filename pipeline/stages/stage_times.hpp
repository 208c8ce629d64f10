#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/comm/communicator.hpp"
#include "pipeline/report/run_report.hpp"

namespace shardquant::stages {

/// How long the stages of a run took, and how much of that every rank worked.
class StageTimes {
 public:
  /// The first stage begins now. `comm` must outlive it.
  explicit StageTimes(const comm::Communicator& comm);

  /// The stage that ends now on this rank; the next one begins. Not collective.
  void finish(std::string stage);

  /// All stages with the times of all ranks, on root; nothing elsewhere. Collective.
  std::vector<report::RunReport::Stage> gather(comm::Communicator& comm) const;

 private:
  const comm::Communicator& comm_;
  std::vector<std::string> names_;
  std::vector<double> seconds_;  // of this rank, and how much of them it waited, in turn
  double begin_;
  double waited_;
};

}  // namespace shardquant::stages
