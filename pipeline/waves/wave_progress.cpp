#include "pipeline/waves/wave_progress.hpp"

#include <fmt/format.h>

namespace shardquant::waves {

WaveProgress::WaveProgress(const RunContext& context, std::string stage, std::int64_t items,
                           std::string unit, double cost, double later_cost)
    : context_(context) {
  if (!context.comm.is_root() || items == 0) return;
  progress_.emplace(context.log, std::move(stage), items, cost);
  progress_->set_unit(std::move(unit));
  progress_->set_events(context.events);
  progress_->set_later_cost(later_cost);
  ticker_.emplace(*progress_);
}

void WaveProgress::begin(const WaveCost& wave) {
  wave_ = wave;
  own_done_ = 0.0;
}

void WaveProgress::own_done(double cost) {
  if (!progress_ || wave_.own <= 0.0) return;
  own_done_ += cost;
  progress_->begin_items(wave_.forward + wave_.groups * own_done_ / wave_.own, checkpoint_note());
}

void WaveProgress::end(std::int64_t items) {
  if (!progress_ || items == 0) return;
  progress_->complete(items, wave_.forward + wave_.groups, checkpoint_note());
}

std::string WaveProgress::checkpoint_note() const {
  const std::optional<double> age = context_.control.checkpoint_age();
  return age ? fmt::format("ckpt {} ago", report::clock_text(*age)) : "no ckpt yet";
}

}  // namespace shardquant::waves
