#include "pipeline/stages/work_off_groups.hpp"

#include <algorithm>

#include "pipeline/comm/assign_work.hpp"
#include "pipeline/report/progress.hpp"
#include "pipeline/stages/group_state.hpp"
#include "pipeline/stages/wave_progress.hpp"
#include "pipeline/stages/work_cost.hpp"

namespace shardquant::stages {

namespace {

// A group and what it costs.
struct Item {
  std::int64_t group = 0;
  double cost = 0.0;
};

std::vector<Item> items_where(const RunContext& context, const GroupWork& work,
                              const std::vector<bool>& chosen) {
  std::vector<Item> items;
  for (const model::HessianGroup& group : context.model.layout.groups) {
    if (chosen[static_cast<std::size_t>(group.index)]) {
      items.push_back({group.index, work.cost(group)});
    }
  }
  return items;
}

double total_cost(const std::vector<Item>& items) {
  double total = 0.0;
  for (const Item& item : items) total += item.cost;
  return total;
}

double forward_cost_of(const RunContext& context, std::int64_t block) {
  if (block >= context.model.description.layers) return 0.0;
  return forward_cost(context.model.layout, block, context.slices.rows * context.slices.length);
}

// Of all waves that lead through these groups.
double cost_with_forward(const RunContext& context, const std::vector<Item>& items) {
  double cost = total_cost(items);
  if (items.empty()) return cost;
  const std::int64_t last = context.model.group(items.back().group).block;
  for (std::int64_t block = context.model.group(items.front().group).block; block <= last;
       ++block) {
    cost += forward_cost_of(context, block);
  }
  return cost;
}

WaveCost cost_of_wave(const RunContext& context, const GroupWork& work, const Wave& wave) {
  WaveCost cost;
  for (std::int64_t block = wave.first_block; block < wave.end_block; ++block) {
    cost.forward += forward_cost_of(context, block);
  }
  for (std::size_t i = 0; i < wave.groups.size(); ++i) {
    const double of_group = work.cost(context.model.group(wave.groups[i]));
    cost.groups += of_group;
    if (wave.owners[i] == context.comm.rank()) cost.own += of_group;
  }
  return cost;
}

// Those of the items that fall to this rank.
std::vector<Item> own_items(const comm::Communicator& comm, const std::vector<Item>& items) {
  std::vector<double> costs;
  for (const Item& item : items) costs.push_back(item.cost);
  std::vector<double> load(static_cast<std::size_t>(comm.size()));
  const std::vector<int> owners = comm::assign_work(costs, load);
  std::vector<Item> own;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (owners[i] == comm.rank()) own.push_back(items[i]);
  }
  return own;
}

void work_off_kept(const RunContext& context, const GroupWork& work,
                   const std::vector<Item>& items) {
  if (items.empty()) return;
  const std::vector<Item> own = own_items(context.comm, items);
  const double cost = total_cost(own);
  std::optional<report::Progress> progress;
  if (context.comm.is_root() && !own.empty()) {
    progress.emplace(context.log, work.stage, std::ssize(own), cost);
    // This rank works at its own share, and so it does at what follows.
    progress->set_later_cost(work.later_cost * cost / total_cost(items));
  }
  comm::on_all(context.comm, [&] {
    for (const Item& item : own) {
      if (context.control.should_stop()) return;
      if (!work.work(context.model.group(item.group), load_hessian(context, item.group))) return;
      if (progress) progress->advance(item.cost);
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
  work_off_kept(context, work, items_where(context, work, from_file));

  const auto items = items_where(context, work, from_forward);
  if (items.empty() && !work.perplexity) return std::nullopt;
  WaveProgress progress(context, work.stage, std::ssize(items), cost_with_forward(context, items),
                        work.later_cost);
  CalibrationRequest request;
  request.wanted = from_forward;
  request.keep_hessians = std::find(work.store.begin(), work.store.end(), true) != work.store.end();
  request.sketches = work.sketches;
  request.perplexity = work.perplexity;
  request.cost = work.cost;
  request.wave_begun = [&](const Wave& wave) { progress.begin(cost_of_wave(context, work, wave)); };
  request.wave_done = [&](const Wave& wave) { progress.end(std::ssize(wave.groups)); };
  return calibrate(
      context, request, [&](const model::HessianGroup& group, const CalibratedGroup& calibrated) {
        const bool done =
            !work.wanted[static_cast<std::size_t>(group.index)] || work.work(group, calibrated);
        if (done) progress.own_done(work.cost(group));
        return done;
      });
}

}  // namespace shardquant::stages
