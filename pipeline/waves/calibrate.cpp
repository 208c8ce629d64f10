#include "pipeline/waves/calibrate.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

#include "kernels/api/named_range.hpp"
#include "pipeline/evaluation/evaluate_rows.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"
#include "pipeline/model/run_block.hpp"
#include "pipeline/model/run_head.hpp"
#include "pipeline/waves/group_state.hpp"
#include "pipeline/waves/hidden_state.hpp"
#include "pipeline/waves/row_sketch.hpp"
#include "pipeline/waves/share_hessians.hpp"

namespace shardquant::waves {

namespace {

// What one slice adds to one Hessian group.
struct Partial {
  kernels::Matrix hessian;      // [K, K]
  std::vector<float> sketches;  // [rows of the slice * kSketchRows, K]
};

// A group whose slices are being added up.
struct Sum {
  std::int64_t group = 0;
  int owner = 0;
  CalibratedGroup total;  // on the owner, and after share_sums on ranks with a part of the work
};

class Calibration {
 public:
  Calibration(const RunContext& context, const CalibrationRequest& request)
      : context_(context),
        request_(request),
        source_(request.source),
        slices_(context.slices),
        batch_rows_(micro_batch_rows(context.slices)),
        workspace_(context.backend, context.model.layout, batch_rows_ * slices_.length,
                   slices_.length) {
    comm::on_all(context.comm, [&] { prepare_own_slices(); });
  }

  // Puts the slices before the first block that is wanted, or as near as stored states lead;
  // returns the block that comes next.
  std::int64_t begin(std::int64_t first_wanted);
  // Forwards the blocks of a wave; returns the sums of its groups, complete on their owners.
  std::vector<Sum> forward_wave(const Wave& wave);
  // Gives the sums to all ranks that have a part in working them off. Collective.
  void share_sums(const Wave& wave, std::vector<Sum>& sums);
  // Works off this rank's parts; returns by sum of the wave whether one was put down.
  std::vector<std::byte> consume(const Wave& wave, std::vector<Sum>& sums,
                                 const GroupConsumer& consumer);
  // Between two waves: stores the state where that is due, and ends the run where it is to stop.
  void pause_after(const Wave& wave, const std::vector<Sum>& sums,
                   const std::vector<std::byte>& put_down);

  std::optional<double> perplexity();

 private:
  void prepare_own_slices();
  void forward_block(std::int64_t block, std::vector<Sum>& sums);
  void forward_slice(const model::BlockWeights& weights, OwnSlice& slice);
  void leave_if_asked(std::int64_t block);
  void forward_head(std::vector<Sum>& sums);
  void head_of_slice(const model::HeadWeights& weights, OwnSlice& slice);
  void start_partials(std::int64_t block, const OwnSlice* slice, const std::vector<Sum>& sums);
  void take_input(std::int64_t group, std::int64_t first_row, kernels::ConstMatrixView x);
  void finish_round(std::int64_t round, bool has_slice, std::vector<Sum>& sums, std::int64_t block);
  OwnSlice* own_slice(std::int64_t round);
  // The head is quantized with one recipe, not measured.
  bool is_sketched(std::int64_t group) const {
    return request_.sketches && group != context_.model.layout.head_group;
  }

  const RunContext& context_;
  const CalibrationRequest& request_;
  const model::WeightSource& source_;
  Slices slices_;
  std::int64_t batch_rows_;
  model::BlockWorkspace workspace_;
  std::vector<OwnSlice> own_;
  std::map<std::int64_t, Partial> partials_;  // by group; reused from slice to slice of a block
  std::vector<double> row_losses_;            // of own slices, in their order
};

void Calibration::prepare_own_slices() {
  const std::int64_t vocab = context_.model.description.vocab_size;
  for (std::int64_t s = context_.comm.rank(); s < slices_.count(); s += context_.comm.size()) {
    OwnSlice slice;
    slice.index = s;
    const std::int64_t rows = slices_.rows_of(s);
    slice.tokens.resize(static_cast<std::size_t>(rows * slices_.length));
    for (std::int64_t r = 0; r < rows; ++r) {
      context_.tokens.read_row(s * slices_.slice_rows + r, vocab,
                               std::span(slice.tokens)
                                   .subspan(static_cast<std::size_t>(r * slices_.length),
                                            static_cast<std::size_t>(slices_.length)));
    }
    slice.hidden =
        context_.backend.allocate(rows * slices_.length, context_.model.description.hidden_size);
    own_.push_back(std::move(slice));
  }
}

std::int64_t Calibration::begin(std::int64_t first_wanted) {
  const std::int64_t block = load_hidden_states(context_, first_wanted, own_);
  if (block >= 0) {
    context_.log.line("calibrate", fmt::format("forward pass goes on at block {}", block));
    return block;
  }
  comm::on_all(context_.comm, [&] {
    for (OwnSlice& slice : own_) {
      model::embed_tokens(context_.backend,
                          {context_.model.description, context_.model.layout, source_},
                          slice.tokens, slice.hidden);
    }
  });
  return 0;
}

OwnSlice* Calibration::own_slice(std::int64_t round) {
  const auto index = static_cast<std::size_t>(round);
  return index < own_.size() ? &own_[index] : nullptr;
}

void Calibration::start_partials(std::int64_t block, const OwnSlice* slice,
                                 const std::vector<Sum>& sums) {
  if (slice == nullptr) return;
  for (const Sum& sum : sums) {
    const model::HessianGroup& group = context_.model.group(sum.group);
    if (group.block != block) continue;
    Partial& partial = partials_[sum.group];
    if (partial.hessian.empty()) {
      partial.hessian = context_.backend.allocate(group.inputs, group.inputs);
    }
    context_.backend.fill_zero(partial.hessian);
    if (is_sketched(sum.group)) {
      partial.sketches.assign(
          static_cast<std::size_t>(slices_.rows_of(slice->index) * kSketchRows * group.inputs),
          0.0f);
    }
  }
}

// first_row: of the calibration rows, that x begins with.
void Calibration::take_input(std::int64_t group, std::int64_t first_row,
                             kernels::ConstMatrixView x) {
  const auto found = partials_.find(group);
  if (found == partials_.end()) return;
  const auto scale = static_cast<float>(2.0 / static_cast<double>(slices_.rows));
  context_.backend.accumulate_hessian(x, scale, found->second.hessian);
  if (!is_sketched(group)) return;
  for (std::int64_t r = 0; r * slices_.length < x.rows; ++r) {
    const std::int64_t in_slice = (first_row + r) % slices_.slice_rows;
    sketch_row(context_.backend, first_row + r, kSketchRows,
               x.row_range(r * slices_.length, slices_.length),
               std::span(found->second.sketches)
                   .subspan(static_cast<std::size_t>(in_slice * kSketchRows * x.cols),
                            static_cast<std::size_t>(kSketchRows * x.cols)));
  }
}

void Calibration::forward_slice(const model::BlockWeights& weights, OwnSlice& slice) {
  const std::int64_t rows = slices_.rows_of(slice.index);
  for (std::int64_t row = 0; row < rows; row += batch_rows_) {
    const std::int64_t count = std::min(batch_rows_, rows - row);
    const std::int64_t first_row = slice.index * slices_.slice_rows + row;
    model::run_block(
        context_.backend, weights, context_.model.description,
        slice.hidden.view().row_range(row * slices_.length, count * slices_.length), workspace_,
        [&](std::int64_t group, kernels::ConstMatrixView x) { take_input(group, first_row, x); });
  }
}

// Slice-ordered sums of every group of the block. Collective.
void Calibration::finish_round(std::int64_t round, bool has_slice, std::vector<Sum>& sums,
                               std::int64_t block) {
  for (Sum& sum : sums) {
    const model::HessianGroup& group = context_.model.group(sum.group);
    if (group.block != block) continue;
    const Partial* partial = has_slice ? &partials_.at(sum.group) : nullptr;
    add_round_in_slice_order(
        context_.comm, context_.backend, context_.device_link,
        {group.name, group.inputs, sum.owner}, slices_.in_round(round, context_.comm.size()),
        partial ? partial->hessian.view() : kernels::ConstMatrixView{}, sum.total.hessian);
    if (!is_sketched(sum.group)) continue;
    collect_round_in_slice_order(
        context_.comm, slices_, round, sum.owner, kSketchRows * group.inputs,
        partial ? std::span(partial->sketches) : std::span<const float>{}, sum.total.sketches);
  }
}

void Calibration::forward_block(std::int64_t block, std::vector<Sum>& sums) {
  const kernels::NamedRange range(context_.backend, fmt::format("calibrate block {}", block));
  model::BlockWeights weights;
  comm::on_all(context_.comm, [&] {
    weights = model::load_block_weights(context_.backend, source_, context_.model.layout, block);
  });
  for (std::int64_t round = 0; round < slices_.rounds(context_.comm.size()); ++round) {
    OwnSlice* slice = own_slice(round);
    comm::on_all(context_.comm, [&] {
      start_partials(block, slice, sums);
      if (slice != nullptr) forward_slice(weights, *slice);
      faults::reach(faults::Point::slice_forwarded, std::to_string(block));
    });
    finish_round(round, slice != nullptr, sums, block);
    leave_if_asked(block);
  }
  partials_.clear();
  faults::reach(faults::Point::block_forwarded, std::to_string(block));
}

// In the middle of a wave nothing new is worth storing: what was forwarded since the last stored
// state is little beside the measuring of a wave.
void Calibration::leave_if_asked(std::int64_t block) {
  if (context_.control.agree() >= control::SignalWish::stop) {
    context_.control.leave(fmt::format("in block {}", block));
  }
}

void Calibration::head_of_slice(const model::HeadWeights& weights, OwnSlice& slice) {
  const std::int64_t rows = slices_.rows_of(slice.index);
  const auto length = static_cast<std::size_t>(slices_.length);
  std::vector<std::int32_t> targets;
  std::vector<double> losses;
  if (request_.perplexity) {
    targets.assign(slice.tokens.begin() + 1, slice.tokens.end());
    targets.push_back(-1);
    for (std::size_t t = length - 1; t < targets.size(); t += length) targets[t] = -1;
    losses.resize(targets.size());
  }
  const std::int64_t first_row = slice.index * slices_.slice_rows;
  model::run_head(context_.backend, weights, context_.model.description, slice.hidden, targets,
                  losses, [&](kernels::ConstMatrixView x) {
                    take_input(context_.model.layout.head_group, first_row, x);
                  });
  for (std::int64_t r = 0; request_.perplexity && r < rows; ++r) {
    const auto begin = losses.begin() + r * slices_.length;
    row_losses_.push_back(std::accumulate(begin, begin + slices_.length, 0.0));
  }
}

void Calibration::forward_head(std::vector<Sum>& sums) {
  const std::int64_t block = context_.model.description.layers;
  model::HeadWeights weights;
  comm::on_all(context_.comm, [&] {
    weights = model::load_head_weights(context_.backend, source_, context_.model.layout);
  });
  for (std::int64_t round = 0; round < slices_.rounds(context_.comm.size()); ++round) {
    OwnSlice* slice = own_slice(round);
    comm::on_all(context_.comm, [&] {
      start_partials(block, slice, sums);
      if (slice != nullptr) head_of_slice(weights, *slice);
    });
    finish_round(round, slice != nullptr, sums, block);
  }
  partials_.clear();
}

std::vector<Sum> Calibration::forward_wave(const Wave& wave) {
  std::vector<Sum> sums;
  for (std::size_t i = 0; i < wave.groups.size(); ++i) {
    Sum sum{wave.groups[i], wave.owners[i], {}};
    if (sum.owner == context_.comm.rank()) {
      const std::int64_t inputs = context_.model.group(sum.group).inputs;
      sum.total.hessian = PackedHessian(inputs);
      if (is_sketched(sum.group)) {
        sum.total.sketches.resize(static_cast<std::size_t>(slices_.rows * kSketchRows * inputs));
      }
    }
    sums.push_back(std::move(sum));
  }
  for (std::int64_t block = wave.first_block; block < wave.end_block; ++block) {
    if (block < context_.model.description.layers) {
      forward_block(block, sums);
    } else {
      forward_head(sums);
    }
  }
  return sums;
}

void Calibration::share_sums(const Wave& wave, std::vector<Sum>& sums) {
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const std::vector<int> helpers = helpers_of(wave, i);
    if (helpers.empty()) continue;
    const std::int64_t inputs = context_.model.group(sums[i].group).inputs;
    const std::int64_t sketched =
        is_sketched(sums[i].group) ? slices_.rows * kSketchRows * inputs : 0;
    share_hessian(context_.comm, sums[i].owner, helpers, inputs, sketched, sums[i].total);
  }
}

std::vector<std::byte> Calibration::consume(const Wave& wave, std::vector<Sum>& sums,
                                            const GroupConsumer& consumer) {
  const int rank = context_.comm.rank();
  std::vector<std::byte> put_down(sums.size());
  std::size_t next = 0;  // of the wave's parts, which are in the order of the sums
  for (std::size_t i = 0; i < sums.size(); ++i) {
    Sum& sum = sums[i];
    const bool owned = sum.owner == rank;
    if (owned && request_.keep_hessians && !context_.control.must_hurry()) {
      save_hessian(context_, sum.group, sum.total);
    }
    const std::size_t first = next;
    for (; next < wave.parts.size() && wave.parts[next].group == sum.group; ++next) {
      if (wave.parts[next].rank != rank) continue;
      const bool done = !context_.control.should_stop() && consumer(wave.parts[next], sum.total);
      if (!done) put_down[i] = std::byte{1};
    }
    // Another rank may put its part down: then the owner's sum is what is stored.
    const bool shared = next - first > 1;
    if (!owned || (!shared && put_down[i] == std::byte{0})) sum.total = {};
  }
  return put_down;
}

void Calibration::pause_after(const Wave& wave, const std::vector<Sum>& sums,
                              const std::vector<std::byte>& put_down) {
  using control::SignalWish;
  const SignalWish agreed = context_.control.agree();
  if (agreed == SignalWish::none) return;
  // The head changes no hidden states.
  const std::int64_t next = std::min(wave.end_block, context_.model.description.layers);
  if (agreed != SignalWish::stop_fast) {
    // Where Hessians are borrowed there is no place for more: those are computed again.
    const bool stores = !request_.keep_hessians && !context_.work.borrows_hessians();
    const std::vector<bool> left = comm::any_of_ranks(context_.comm, put_down);
    comm::on_all(context_.comm, [&] {
      for (std::size_t i = 0; i < sums.size(); ++i) {
        const bool mine = sums[i].owner == context_.comm.rank();
        if (left[i] && mine && stores) save_hessian(context_, sums[i].group, sums[i].total);
      }
    });
    save_hidden_states(context_, next, own_);
  }
  if (agreed >= SignalWish::stop) context_.control.leave(fmt::format("before block {}", next));
}

std::optional<double> Calibration::perplexity() {
  if (!request_.perplexity) return std::nullopt;
  const auto parts = context_.comm.gather(std::as_bytes(std::span(row_losses_)));
  double value = 0.0;
  if (context_.comm.is_root()) {
    // Rank p holds slices p, p + ranks, ...: back into the order of the rows before adding.
    std::vector<std::size_t> taken(parts.size());
    double sum = 0.0;
    for (std::int64_t s = 0; s < slices_.count(); ++s) {
      const auto rank = static_cast<std::size_t>(slices_.owner(s, context_.comm.size()));
      for (std::int64_t r = 0; r < slices_.rows_of(s); ++r) {
        double loss = 0.0;
        std::memcpy(&loss, parts[rank].data() + taken[rank]++ * sizeof loss, sizeof loss);
        sum += loss;
      }
    }
    value =
        evaluation::perplexity_of(sum / static_cast<double>(slices_.rows * (slices_.length - 1)));
  }
  context_.comm.broadcast(std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

// The block up to which nothing but the hidden states is wanted.
std::int64_t first_wanted_block(const RunContext& context, const CalibrationRequest& request) {
  for (const model::HessianGroup& group : context.model.layout.groups) {
    if (request.waves.wanted[static_cast<std::size_t>(group.index)]) {
      return std::min(group.block, context.model.description.layers);
    }
  }
  return context.model.description.layers;
}

}  // namespace

std::int64_t micro_batch_rows(const Slices& slices) {
  constexpr std::int64_t kTokens = 2048;
  return std::clamp<std::int64_t>(kTokens / slices.length, 1, slices.slice_rows);
}

std::optional<double> calibrate(const RunContext& context, const CalibrationRequest& request,
                                const GroupConsumer& consumer) {
  Calibration calibration(context, request);
  const std::int64_t begin = calibration.begin(first_wanted_block(context, request));
  WaveRequest asked = request.waves;
  asked.first_block = begin;
  const auto waves = plan_waves(context.model.layout, asked, context.comm.size());
  for (const Wave& wave : waves) {
    if (request.wave_begun) request.wave_begun(wave);
    std::vector<Sum> sums = calibration.forward_wave(wave);
    calibration.share_sums(wave, sums);
    std::vector<std::byte> put_down;
    comm::on_all(context.comm, [&] { put_down = calibration.consume(wave, sums, consumer); });
    if (request.wave_done) request.wave_done(wave);
    calibration.pause_after(wave, sums, put_down);
  }
  return calibration.perplexity();
}

}  // namespace shardquant::waves
