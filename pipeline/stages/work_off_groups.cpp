#include "pipeline/stages/work_off_groups.hpp"

#include <algorithm>

#include "pipeline/report/progress.hpp"
#include "pipeline/stages/deal_groups.hpp"
#include "pipeline/stages/group_state.hpp"
#include "pipeline/stages/work_cost.hpp"

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

// `later_cost` is that of all ranks, `cost` may be this rank's alone.
void start_progress(std::optional<report::Progress>& progress, const RunContext& context,
                    const std::string& stage, std::int64_t items, double cost, double later_cost) {
  if (!context.comm.is_root() || items == 0) return;
  progress.emplace(context.log, stage, items, cost);
  progress->set_later_cost(later_cost);
}

std::string checkpoint_note(const RunContext& context) {
  const std::optional<double> age = context.control.checkpoint_age();
  return age ? fmt::format("ckpt {} ago", report::clock_text(*age)) : "no ckpt yet";
}

// Root's view of the waves: its own parts of one stand for the whole, since groups are dealt out by
// cost. The forward pass is counted with the wave that it leads through.
class WaveProgress {
 public:
  WaveProgress(const RunContext& context, const GroupWork& work,
               const std::vector<GroupUnits>& groups)
      : context_(context) {
    if (!context.comm.is_root() || groups.empty()) return;
    double cost = 0.0;
    for (const GroupUnits& units : groups) cost += cost_of(units);
    const std::int64_t first = context.model.group(groups.front().group).block;
    const std::int64_t last = context.model.group(groups.back().group).block;
    for (std::int64_t block = first; block <= last; ++block) cost += forward_cost_of(block);
    start_progress(progress_, context, work.stage, std::ssize(groups), cost, work.later_cost);
  }

  void begin(const Wave& wave) {
    own_cost_ = own_done_ = groups_cost_ = forward_cost_ = 0.0;
    for (std::int64_t block = wave.first_block; block < wave.end_block; ++block) {
      forward_cost_ += forward_cost_of(block);
    }
    for (const GroupPart& part : wave.parts) {
      groups_cost_ += part.cost;
      if (part.rank == context_.comm.rank()) own_cost_ += part.cost;
    }
  }

  void own_part_done(const GroupPart& part) {
    if (!progress_ || own_cost_ <= 0.0) return;
    own_done_ += part.cost;
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
    return operations_of(block_work(context_.model.description, context_.model.layout, block,
                                    context_.slices.rows * context_.slices.length,
                                    context_.slices.length));
  }

  const RunContext& context_;
  std::optional<report::Progress> progress_;
  double own_cost_ = 0.0, own_done_ = 0.0;  // of the wave's parts, this rank's
  double groups_cost_ = 0.0;                // all ranks'
  double forward_cost_ = 0.0;
};

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
  double all = 0.0;
  for (const GroupUnits& units : groups) all += cost_of(units);
  // This rank works at its own share, and so it does at what follows.
  start_progress(progress, context, work.stage, std::ssize(own), cost,
                 all > 0.0 ? work.later_cost * cost / all : 0.0);
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
  WaveProgress progress(context, work, groups_left);
  CalibrationRequest request;
  request.wanted = from_forward;
  request.keep_hessians = std::find(work.store.begin(), work.store.end(), true) != work.store.end();
  request.sketches = work.sketches;
  request.perplexity = work.perplexity;
  request.units = work.units;
  request.wave_begun = [&](const Wave& wave) { progress.begin(wave); };
  request.wave_done = [&](const Wave& wave) { progress.end(wave); };
  return calibrate(context, request, [&](const GroupPart& part, const CalibratedGroup& calibrated) {
    const bool done =
        !work.wanted[static_cast<std::size_t>(part.group)] || work.work(part, calibrated);
    if (done) progress.own_part_done(part);
    return done;
  });
}

}  // namespace shardquant::stages
