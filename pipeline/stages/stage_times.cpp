#include "pipeline/stages/stage_times.hpp"

#include <algorithm>

#include "pipeline/control/steady_seconds.hpp"

namespace shardquant::stages {

StageTimes::StageTimes(const comm::Communicator& comm)
    : comm_(comm), begin_(control::steady_seconds()), waited_(comm.waited_seconds()) {}

void StageTimes::finish(std::string stage) {
  const double end = control::steady_seconds();
  const double waited = comm_.waited_seconds();
  names_.push_back(std::move(stage));
  seconds_.push_back(end - begin_);
  seconds_.push_back(waited - waited_);
  begin_ = end;
  waited_ = waited;
}

std::vector<report::RunReport::Stage> StageTimes::gather(comm::Communicator& comm) const {
  const std::vector<double> all = comm::gather_values(comm, seconds_);
  std::vector<report::RunReport::Stage> stages;
  if (!comm.is_root()) return stages;
  for (std::size_t s = 0; s < names_.size(); ++s) {
    report::RunReport::Stage& stage = stages.emplace_back();
    stage.name = names_[s];
    for (std::size_t rank = 0; rank < static_cast<std::size_t>(comm.size()); ++rank) {
      const std::size_t at = 2 * (rank * names_.size() + s);
      stage.seconds = std::max(stage.seconds, all[at]);
      stage.busy_seconds.push_back(std::max(all[at] - all[at + 1], 0.0));
    }
  }
  return stages;
}

}  // namespace shardquant::stages
