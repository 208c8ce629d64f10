#include "pipeline/waves/perturbed_forward.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <utility>

#include "kernels/api/named_range.hpp"
#include "pipeline/control/steady_seconds.hpp"
#include "pipeline/evaluation/divergence.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"
#include "pipeline/report/memory.hpp"

namespace shardquant::waves {

PerturbedForward::PerturbedForward(const RunContext& context,
                                   std::span<const SensitivityUnit> units,
                                   const model::WeightSource& source,
                                   const model::WeightSource& trials)
    : context_(context),
      units_(units),
      source_(source),
      trials_(trials),
      tokens_(sensitivity_tokens(context.config)),
      workspace_(context.backend, context.model.layout,
                 sensitivity_batch_rows(tokens_) * tokens_.length, tokens_.length),
      stored_s_(control::steady_seconds()) {}

bool PerturbedForward::run_pass(std::span<const std::int64_t> pass, std::int64_t next_block,
                                const ProgressTaker& progress) {
  progress_ = &progress;
  done_ = 0.0;
  begin_pass(pass);
  const std::int64_t layers = context_.model.description.layers;
  for (std::int64_t block = base_.block; block < layers; ++block) {
    if (block == next_block) store_base();
    if (!forward_block(block, pass)) {
      store();
      return false;
    }
    faults::reach(faults::Point::block_tried, std::to_string(block));
    const double age = control::steady_seconds() - stored_s_;
    if (age >= static_cast<double>(context_.config.checkpoint.every_s)) store();
  }
  if (!find_divergences()) {
    store();
    return false;
  }
  return true;
}

void PerturbedForward::begin_pass(std::span<const std::int64_t> pass) {
  open_.clear();
  std::int64_t first = context_.model.description.layers;
  for (const std::int64_t index : pass) {
    std::int64_t block = unit(index).block;
    if (auto state = load_copy(context_, context_.backend, unit(index).name, tokens_.count())) {
      block = state->block;
      open_.emplace(index, std::move(*state));
    }
    first = std::min(first, block);
  }
  begin_base(first);
}

// The model's own state at that block, or as near before it as stored ones lead.
void PerturbedForward::begin_base(std::int64_t last_block) {
  for (std::int64_t block = last_block; block > 0; --block) {
    auto state = load_copy(context_, context_.backend, base_name(block), tokens_.count());
    if (!state) continue;
    base_ = std::move(*state);
    return;
  }
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> row(static_cast<std::size_t>(context_.slices.length));
  for (const std::int64_t index : sensitivity_rows(context_.slices.rows, tokens_.rows)) {
    context_.tokens.read_row(index, context_.model.description.vocab_size, row);
    tokens.insert(tokens.end(), row.begin(), row.begin() + tokens_.length);
  }
  base_.block = 0;
  base_.hidden = context_.backend.allocate(tokens_.count(), context_.model.description.hidden_size);
  model::embed_tokens(context_.backend,
                      {context_.model.description, context_.model.layout, source_}, tokens,
                      base_.hidden);
}

bool PerturbedForward::forward_block(std::int64_t block, std::span<const std::int64_t> pass) {
  const kernels::NamedRange range(context_.backend, fmt::format("sensitivity block {}", block));
  model::BlockWeights weights =
      model::load_block_weights(context_.backend, source_, context_.model.layout, block);
  for (auto& [index, copy] : open_) {
    if (copy.block != block) continue;
    if (context_.control.should_stop()) return false;
    forward(weights, copy.hidden);
    ++copy.block;
  }
  after_ = copy_of_base();
  forward(weights, after_);
  for (const std::int64_t index : pass) {
    if (unit(index).block != block || open_.contains(index)) continue;
    if (context_.control.should_stop()) return false;
    begin_unit(weights, index);
  }
  base_.hidden = std::exchange(after_, {});
  ++base_.block;
  return true;
}

void PerturbedForward::begin_unit(model::BlockWeights& weights, std::int64_t index) {
  const std::vector<std::int64_t>& layers = unit(index).layers;
  CopyState copy{unit(index).block + 1, copy_of_base(), {1.0}};
  forward_replaced(weights, layers, copy.hidden);
  if (layers.size() > 1) {
    copy.effects.clear();
    for (const std::int64_t layer : layers) {
      kernels::Matrix alone = copy_of_base();
      forward_replaced(weights, {&layer, 1}, alone);
      copy.effects.push_back(effect_of(alone));
    }
  }
  open_.emplace(index, std::move(copy));
}

// What a layer does to the block's output, squared.
double PerturbedForward::effect_of(kernels::ConstMatrixView hidden) {
  std::vector<float> changed(static_cast<std::size_t>(hidden.size()));
  std::vector<float> plain(changed.size());
  context_.backend.download(hidden, changed);
  context_.backend.download(after_, plain);
  double sum = 0.0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const double difference = static_cast<double>(changed[i]) - plain[i];
    sum += difference * difference;
  }
  return sum;
}

void PerturbedForward::forward_replaced(model::BlockWeights& weights,
                                        std::span<const std::int64_t> layers,
                                        kernels::MatrixView hidden) {
  std::vector<kernels::Matrix> replaced;
  const std::vector<std::int64_t>& own = weights.parts().linear_layers;
  const auto exchange = [&](std::size_t i) {
    const auto place = std::find(own.begin(), own.end(), layers[i]) - own.begin();
    std::swap(weights.weights[static_cast<std::size_t>(place)], replaced[i]);
  };
  for (const std::int64_t layer : layers) {
    replaced.push_back(trials_.weight(context_.backend, layer));
  }
  for (std::size_t i = 0; i < layers.size(); ++i) exchange(i);
  forward(weights, hidden);
  for (std::size_t i = 0; i < layers.size(); ++i) exchange(i);
}

void PerturbedForward::forward(const model::BlockWeights& weights, kernels::MatrixView hidden) {
  const std::int64_t batch = sensitivity_batch_rows(tokens_);
  for (std::int64_t row = 0; row < tokens_.rows; row += batch) {
    const std::int64_t count = std::min(batch, tokens_.rows - row);
    model::run_block(context_.backend, weights, context_.model.description,
                     hidden.row_range(row * tokens_.length, count * tokens_.length), workspace_);
  }
  done_ +=
      block_work(context_.model.layout, weights.block, tokens_.count(), tokens_.length).forward;
  (*progress_)(done_);
}

kernels::Matrix PerturbedForward::copy_of_base() {
  kernels::Matrix copy =
      context_.backend.allocate(tokens_.count(), context_.model.description.hidden_size);
  context_.backend.fill_zero(copy);
  context_.backend.add(copy, base_.hidden);
  return copy;
}

const std::vector<float>& PerturbedForward::logits_of(const model::HeadWeights& head,
                                                      kernels::ConstMatrixView x,
                                                      std::vector<float>& logits) {
  const model::ModelDescription& description = context_.model.description;
  kernels::Matrix normed = context_.backend.allocate(x.rows, x.cols);
  kernels::Matrix out = context_.backend.allocate(x.rows, description.vocab_size);
  context_.backend.rms_norm(x, head.norm, static_cast<float>(description.rms_norm_eps), normed);
  model::head_logits(context_.backend, head, description, normed, out);
  logits.resize(static_cast<std::size_t>(out.view().size()));
  context_.backend.download(out, logits);
  if (!std::all_of(logits.begin(), logits.end(), [](float each) { return std::isfinite(each); })) {
    fail(ExitCode::bad_data,
         "{}: {}: a logit is NaN or infinite; the weights do not make a working model",
         description.config_file, context_.model.layout.head().key);
  }
  done_ += 2.0 * static_cast<double>(x.rows) *
           static_cast<double>(context_.model.layout.head().parameters());
  (*progress_)(done_);
  return logits;
}

// The base's divergence from itself by this path is exactly 0, so there is none to take off.
bool PerturbedForward::find_divergences() {
  const model::HeadWeights head =
      model::load_head_weights(context_.backend, source_, context_.model.layout);
  const auto vocabulary = static_cast<std::size_t>(context_.model.description.vocab_size);
  const std::int64_t chunk = model::head_chunk_tokens(context_.model.description);
  std::vector<float> plain, other;
  std::vector<std::vector<double>> p;
  std::map<std::int64_t, double> sums;
  for (std::int64_t begin = 0; begin < tokens_.count(); begin += chunk) {
    const std::int64_t count = std::min(chunk, tokens_.count() - begin);
    logits_of(head, base_.hidden.view().row_range(begin, count), plain);
    const auto row_of = [&](const std::vector<float>& logits, std::int64_t t) {
      return std::span(logits).subspan(static_cast<std::size_t>(t) * vocabulary, vocabulary);
    };
    p.clear();
    for (std::int64_t t = 0; t < count; ++t) {
      p.push_back(evaluation::probabilities_of(row_of(plain, t)));
    }
    for (const auto& [index, copy] : open_) {
      if (context_.control.should_stop()) return false;
      logits_of(head, copy.hidden.view().row_range(begin, count), other);
      for (std::int64_t t = 0; t < count; ++t) {
        sums[index] += evaluation::divergence_of(p[static_cast<std::size_t>(t)], row_of(plain, t),
                                                 row_of(other, t));
      }
    }
  }
  for (const auto& [index, sum] : sums) record(index, sum / static_cast<double>(tokens_.count()));
  return true;
}

void PerturbedForward::record(std::int64_t index, double divergence) {
  const std::vector<double>& effects = open_.at(index).effects;
  const double all = std::accumulate(effects.begin(), effects.end(), 0.0);
  UnitSensitivity found{index, {}};
  for (const double effect : effects) {
    const double share = all > 0.0 ? effect / all : 1.0 / static_cast<double>(effects.size());
    found.kl.push_back(divergence * share);
  }
  faults::reach(faults::Point::sensitivity_measured, unit(index).name);
  save_sensitivity(context_, unit(index), found.kl);
  remove_copy(context_, unit(index).name);
  found_.push_back(std::move(found));
}

bool PerturbedForward::has_room() const {
  const std::int64_t bytes = (std::ssize(open_) + 1) * base_.hidden.bytes();
  const std::int64_t free = context_.work.free_bytes();
  if (free / 10 * 9 >= bytes) return true;
  context_.log.line("checkpoint",
                    fmt::format("hidden states of changed models left out: {} wanted, {} free; a "
                                "restart will compute them again",
                                report::bytes_text(bytes), report::bytes_text(free)));
  return false;
}

void PerturbedForward::store_base() const {
  const std::string name = base_name(base_.block);
  std::error_code error;
  if (base_.block > 0 && !std::filesystem::exists(context_.work.copy(name), error)) {
    save_copy(context_, context_.backend, name, base_);
  }
}

void PerturbedForward::store() {
  const double begin = control::steady_seconds();
  stored_s_ = begin;
  if (context_.control.must_hurry() || !has_room()) return;
  for (const auto& [index, copy] : open_)
    save_copy(context_, context_.backend, unit(index).name, copy);
  store_base();
  context_.control.note_checkpoint(control::steady_seconds() - begin);
}

}  // namespace shardquant::waves
