#include "pipeline/waves/work_off_groups.hpp"

#include <algorithm>

#include "pipeline/report/progress.hpp"
#include "pipeline/report/progress_ticker.hpp"
#include "pipeline/waves/deal_groups.hpp"
#include "pipeline/waves/group_state.hpp"
#include "pipeline/waves/wave_progress.hpp"
#include "pipeline/waves/work_cost.hpp"

namespace shardquant::waves {

namespace {

std::vector<GroupUnits> units_where(const RunContext& context, const GroupWork& work,
                                    const std::vector<bool>& chosen) {
  std::vector<GroupUnits> units;
  for (const model::HessianGroup& group : context.model.layout.groups) {
    if (chosen[static_cast<std::size_t>(group.index)]) units.push_back(work.units(group));
  }
  return units;
}

double total_cost(const std::vector<GroupUnits>& groups) {
  double total = 0.0;
  for (const GroupUnits& units : groups) total += operations_of(units.work(0, units.count()));
  return total;
}

double forward_cost_of(const RunContext& context, std::int64_t block) {
  if (block >= context.model.description.layers) return 0.0;
  const std::int64_t length = context.slices.length;
  return operations_of(
      block_work(context.model.layout, block, context.slices.rows * length, length));
}

// Of all waves that lead through these groups.
double cost_with_forward(const RunContext& context, const std::vector<GroupUnits>& groups) {
  double cost = total_cost(groups);
  if (groups.empty()) return cost;
  const std::int64_t last = context.model.group(groups.back().group).block;
  for (std::int64_t block = context.model.group(groups.front().group).block; block <= last;
       ++block) {
    cost += forward_cost_of(context, block);
  }
  return cost;
}

WaveCost cost_of_wave(const RunContext& context, const Wave& wave) {
  WaveCost cost;
  for (std::int64_t block = wave.first_block; block < wave.end_block; ++block) {
    cost.forward += forward_cost_of(context, block);
  }
  for (const GroupPart& part : wave.parts) {
    cost.groups += part.cost;
    if (part.rank == context.comm.rank()) cost.own += part.cost;
  }
  return cost;
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
  std::optional<report::ProgressTicker> ticker;
  const std::int64_t count = std::ssize(groups);
  if (context.comm.is_root() && !own.empty()) {
    progress.emplace(context.log, work.stage, count, cost);
    progress->set_unit("groups");
    progress->set_events(context.events);
    // This rank works at its own share, and so it does at what follows.
    const double all = total_cost(groups);
    progress->set_later_cost(all > 0.0 ? work.later_cost * cost / all : 0.0);
    ticker.emplace(*progress);
  }
  comm::on_all(context.comm, [&] {
    double done_cost = 0.0;
    std::int64_t told = 0;
    for (std::size_t p = 0; p < own.size(); ++p) {
      if (context.control.should_stop()) return;
      if (!work.work(own[p], load_hessian(context, own[p].group))) return;
      if (!progress) continue;
      // Groups are dealt out by cost: what is done of this rank's share is so of all of them.
      done_cost += own[p].cost;
      const std::int64_t done =
          p + 1 == own.size() ? count
                              : static_cast<std::int64_t>(static_cast<double>(count) * done_cost /
                                                          std::max(cost, done_cost));
      progress->complete(done - told, own[p].cost);
      told = done;
    }
  });
  ticker.reset();
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

  const auto left = units_where(context, work, from_forward);
  if (left.empty() && !work.perplexity) return std::nullopt;
  // For the perplexity alone all blocks are gone through.
  const std::int64_t blocks = context.model.description.layers;
  double cost = cost_with_forward(context, left);
  for (std::int64_t block = 0; left.empty() && block < blocks; ++block) {
    cost += forward_cost_of(context, block);
  }
  WaveProgress progress(context, work.stage, left.empty() ? blocks : std::ssize(left),
                        left.empty() ? "blocks" : "groups", cost, work.later_cost);
  const model::FolderWeights source(context.model.layout, context.model.tensors);
  // A pass that yields the perplexity goes through all blocks.
  CalibrationRequest request{source, {from_forward, work.units, work.perplexity}};
  request.keep_hessians = std::find(work.store.begin(), work.store.end(), true) != work.store.end();
  request.sketches = work.sketches;
  request.perplexity = work.perplexity;
  request.wave_begun = [&](const Wave& wave) { progress.begin(cost_of_wave(context, wave)); };
  request.wave_done = [&](const Wave& wave) {
    progress.end(left.empty() ? std::min(wave.end_block, blocks) - wave.first_block
                              : std::ssize(wave.groups));
  };
  return calibrate(context, request, [&](const GroupPart& part, const CalibratedGroup& calibrated) {
    const bool done =
        !work.wanted[static_cast<std::size_t>(part.group)] || work.work(part, calibrated);
    if (done) progress.own_done(part.cost);
    return done;
  });
}

}  // namespace shardquant::waves
