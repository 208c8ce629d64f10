#include "pipeline/stages/work_off_groups.hpp"

#include <algorithm>

#include "pipeline/comm/assign_work.hpp"
#include "pipeline/report/progress.hpp"
#include "pipeline/stages/group_state.hpp"

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

void start_progress(std::optional<report::Progress>& progress, const RunContext& context,
                    const std::string& stage, const std::vector<Item>& items) {
  if (!context.comm.is_root() || items.empty()) return;
  double total = 0.0;
  for (const Item& item : items) total += item.cost;
  progress.emplace(context.log, stage, std::ssize(items), total);
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
  std::optional<report::Progress> progress;
  start_progress(progress, context, work.stage, own);
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
  std::optional<report::Progress> progress;
  start_progress(progress, context, work.stage, items);
  CalibrationRequest request;
  request.wanted = from_forward;
  request.keep_hessians = std::find(work.store.begin(), work.store.end(), true) != work.store.end();
  request.sketches = work.sketches;
  request.perplexity = work.perplexity;
  request.cost = work.cost;
  request.wave_done = [&](const Wave& wave) {
    if (!progress) return;
    for (const std::int64_t g : wave.groups) progress->advance(work.cost(context.model.group(g)));
  };
  return calibrate(
      context, request, [&](const model::HessianGroup& group, const CalibratedGroup& calibrated) {
        return !work.wanted[static_cast<std::size_t>(group.index)] || work.work(group, calibrated);
      });
}

}  // namespace shardquant::stages
