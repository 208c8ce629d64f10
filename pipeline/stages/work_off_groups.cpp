#include "pipeline/stages/work_off_groups.hpp"

#include <algorithm>

#include "pipeline/comm/assign_work.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/report/progress.hpp"
#include "pipeline/stages/group_state.hpp"
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

// `later_cost` is that of all ranks, the items' may be this rank's alone.
void start_progress(std::optional<report::Progress>& progress, const RunContext& context,
                    const std::string& stage, const std::vector<Item>& items, double cost,
                    double later_cost) {
  if (!context.comm.is_root() || items.empty()) return;
  progress.emplace(context.log, stage, std::ssize(items), cost);
  progress->set_later_cost(later_cost);
}

std::string checkpoint_note(const RunContext& context) {
  const std::optional<double> age = context.control.checkpoint_age();
  return age ? fmt::format("ckpt {} ago", report::clock_text(*age)) : "no ckpt yet";
}

// Root's view of the waves: its own part of one stands for the whole, since groups are dealt out by
// cost. The forward pass is counted with the wave that it leads through.
class WaveProgress {
 public:
  WaveProgress(const RunContext& context, const GroupWork& work, const std::vector<Item>& items)
      : context_(context), work_(work) {
    if (!context.comm.is_root() || items.empty()) return;
    double cost = total_cost(items);
    const std::int64_t first = context.model.group(items.front().group).block;
    const std::int64_t last = context.model.group(items.back().group).block;
    for (std::int64_t block = first; block <= last; ++block) cost += forward_cost_of(block);
    start_progress(progress_, context, work.stage, items, cost, work.later_cost);
  }

  void begin(const Wave& wave) {
    own_cost_ = own_done_ = groups_cost_ = forward_cost_ = 0.0;
    for (std::int64_t block = wave.first_block; block < wave.end_block; ++block) {
      forward_cost_ += forward_cost_of(block);
    }
    for (std::size_t i = 0; i < wave.groups.size(); ++i) {
      const double cost = work_.cost(context_.model.group(wave.groups[i]));
      groups_cost_ += cost;
      if (wave.owners[i] == context_.comm.rank()) own_cost_ += cost;
    }
  }

  void own_group_done(const model::HessianGroup& group) {
    if (!progress_ || own_cost_ <= 0.0) return;
    own_done_ += work_.cost(group);
    progress_->begin_items(forward_cost_ + groups_cost_ * own_done_ / own_cost_,
                           checkpoint_note(context_));
  }

  void end(const Wave& wave) {
    if (!progress_ || wave.groups.empty()) return;
    progress_->complete(std::ssize(wave.groups), forward_cost_ + groups_cost_,
                        checkpoint_note(context_));
  }

 private:
  double forward_cost_of(std::int64_t block) const {
    if (block >= context_.model.description.layers) return 0.0;
    return forward_cost(context_.model.layout, block,
                        context_.slices.rows * context_.slices.length);
  }

  const RunContext& context_;
  const GroupWork& work_;
  std::optional<report::Progress> progress_;
  double own_cost_ = 0.0, own_done_ = 0.0;  // of the wave's groups, this rank's
  double groups_cost_ = 0.0;                // all ranks'
  double forward_cost_ = 0.0;
};

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
  const double cost = total_cost(own);
  // This rank works at its own share, and so it does at what follows.
  const double share = cost / total_cost(items);
  start_progress(progress, context, work.stage, own, cost, work.later_cost * share);
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
  WaveProgress progress(context, work, items);
  CalibrationRequest request;
  request.wanted = from_forward;
  request.keep_hessians = std::find(work.store.begin(), work.store.end(), true) != work.store.end();
  request.sketches = work.sketches;
  request.perplexity = work.perplexity;
  request.cost = work.cost;
  request.wave_begun = [&](const Wave& wave) { progress.begin(wave); };
  request.wave_done = [&](const Wave& wave) { progress.end(wave); };
  return calibrate(
      context, request, [&](const model::HessianGroup& group, const CalibratedGroup& calibrated) {
        const bool done =
            !work.wanted[static_cast<std::size_t>(group.index)] || work.work(group, calibrated);
        if (done) progress.own_group_done(group);
        return done;
      });
}

}  // namespace shardquant::stages
