#include "pipeline/stages/work_off_groups.hpp"

#include <algorithm>

#include "pipeline/report/progress.hpp"
#include "pipeline/stages/deal_groups.hpp"
#include "pipeline/stages/group_state.hpp"

namespace shardquant::stages {

namespace {

std::vector<GroupUnits> units_where(const RunContext& context, const GroupWork& work,
                                    const std::vector<bool>& chosen) {
  std::vector<GroupUnits> units;
  for (const model::HessianGroup& group : context.model.layout.groups) {
    if (chosen[static_cast<std::size_t>(group.index)]) units.push_back(work.units(group));
  }
  return units;
}

double cost_of(const GroupUnits& units) {
  return operations_of(units.work(0, units.count()));
}

void start_progress(std::optional<report::Progress>& progress, const RunContext& context,
                    const std::string& stage, std::int64_t items, double cost) {
  if (context.comm.is_root() && items > 0) progress.emplace(context.log, stage, items, cost);
}

// Those of the parts that fall to this rank.
std::vector<GroupPart> own_parts(const comm::Communicator& comm,
                                 const std::vector<GroupUnits>& groups) {
  std::vector<GroupPart> own = deal_groups(groups, comm.size());
  std::erase_if(own, [&](const GroupPart& part) { return part.rank != comm.rank(); });
  return own;
}

void work_off_kept(const RunContext& context, const GroupWork& work,
                   const std::vector<GroupUnits>& groups) {
  if (groups.empty()) return;
  const std::vector<GroupPart> own = own_parts(context.comm, groups);
  double cost = 0.0;
  for (const GroupPart& part : own) cost += part.cost;
  std::optional<report::Progress> progress;
  start_progress(progress, context, work.stage, std::ssize(own), cost);
  comm::on_all(context.comm, [&] {
    for (const GroupPart& part : own) {
      if (context.control.should_stop()) return;
      if (!work.work(part, load_hessian(context, part.group))) return;
      if (progress) progress->advance(part.cost);
    }
  });
  if (context.control.agree() >= control::SignalWish::stop) {
    context.control.leave("in stage " + work.stage);
  }
}

}  // namespace

std::optional<double> work_off_groups(const RunContext& context, const GroupWork& work) {
  const std::size_t groups = work.wanted.size();
  std::vector<bool> from_file(groups), from_forward(groups);
  for (std::size_t g = 0; g < groups; ++g) {
    from_file[g] = work.wanted[g] && work.kept[g];
    from_forward[g] = !work.kept[g] && (work.wanted[g] || work.store[g]);
  }
  work_off_kept(context, work, units_where(context, work, from_file));

  const auto groups_left = units_where(context, work, from_forward);
  if (groups_left.empty() && !work.perplexity) return std::nullopt;
  double cost = 0.0;
  for (const GroupUnits& units : groups_left) cost += cost_of(units);
  std::optional<report::Progress> progress;
  start_progress(progress, context, work.stage, std::ssize(groups_left), cost);
  CalibrationRequest request;
  request.wanted = from_forward;
  request.keep_hessians = std::find(work.store.begin(), work.store.end(), true) != work.store.end();
  request.sketches = work.sketches;
  request.perplexity = work.perplexity;
  request.units = work.units;
  request.wave_done = [&](const Wave& wave) {
    if (!progress) return;
    for (const std::int64_t g : wave.groups) {
      progress->advance(cost_of(work.units(context.model.group(g))));
    }
  };
  return calibrate(context, request, [&](const GroupPart& part, const CalibratedGroup& calibrated) {
    return !work.wanted[static_cast<std::size_t>(part.group)] || work.work(part, calibrated);
  });
}

}  // namespace shardquant::stages
