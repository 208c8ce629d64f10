#include "pipeline/stages/evaluate_model.hpp"

#include <algorithm>

#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/evaluation/evaluation_cost.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"
#include "pipeline/output/layer_state.hpp"
#include "pipeline/report/progress.hpp"
#include "pipeline/report/progress_ticker.hpp"
#include "pipeline/stages/evaluation_state.hpp"

namespace shardquant::stages {

namespace {

namespace fs = std::filesystem;

std::int64_t count_rows(const waves::RunContext& context) {
  std::int64_t rows = 0;
  comm::on_root(context.comm, [&] {
    std::error_code error;
    const auto bytes = fs::file_size(context.work.validation_rows(), error);
    if (!error && context.config.evaluation.rows > 0) {
      rows = static_cast<std::int64_t>(bytes / sizeof(std::int32_t)) /
             context.config.calibration.length;
    }
  });
  return context.comm.max(rows);
}

evaluation::Documents read_rows(const waves::RunContext& context, std::int64_t rows) {
  const formats::TokenStream stream(context.work.validation_rows());
  evaluation::Documents documents(static_cast<std::size_t>(rows));
  for (std::int64_t row = 0; row < rows; ++row) {
    auto& document = documents[static_cast<std::size_t>(row)];
    document.resize(static_cast<std::size_t>(context.config.calibration.length));
    stream.read_row(row, context.model.description.vocab_size, document);
  }
  return documents;
}

std::string hash_of(const evaluation::Documents& documents) {
  checkpoint::Xxh3 hash(checkpoint::Xxh3::Width::bits_128);
  for (const auto& document : documents) hash.update(std::as_bytes(std::span(document)));
  return hash.hex_128();
}

// How often the weights are read for these batches.
std::int64_t count_passes(const std::vector<evaluation::DocumentBatch>& batches,
                          std::int64_t token_bytes) {
  std::int64_t passes = 0;
  for (std::size_t first = 0; first < batches.size(); ++passes) {
    first = evaluation::end_of_pass(batches, first, token_bytes, evaluation::kHiddenBytes);
  }
  return passes;
}

// One run's evaluation: its batches, and what this rank knows of them.
class Evaluator {
 public:
  Evaluator(const waves::RunContext& context, std::string run,
            const evaluation::Documents& documents)
      : context_(context),
        run_(std::move(run)),
        documents_(documents),
        batches_(evaluation::batch_documents(documents)) {}

  // Reads what is there of this rank's share; all ranks get to know which batches are missing.
  std::vector<std::int64_t> load() {
    std::vector<std::byte> there(batches_.size());
    comm::on_all(context_.comm, [&] {
      for (std::int64_t i = context_.comm.rank(); i < std::ssize(batches_);
           i += context_.comm.size()) {
        const auto batch = load_batch(context_, run_, i);
        if (!batch) continue;
        there[static_cast<std::size_t>(i)] = std::byte{1};
        keep(*batch);
      }
    });
    const std::vector<bool> known = comm::any_of_ranks(context_.comm, there);
    std::vector<std::int64_t> missing;
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (!known[i]) missing.push_back(static_cast<std::int64_t>(i));
    }
    return missing;
  }

  // Compares this rank's share of the missing batches.
  void compare(const model::SourceModel& output, const std::vector<std::int64_t>& missing) {
    std::vector<std::int64_t> own;
    std::vector<evaluation::DocumentBatch> batches;
    double tokens = 0.0;
    for (std::size_t i = 0; i < missing.size(); ++i) {
      if (static_cast<int>(i) % context_.comm.size() != context_.comm.rank()) continue;
      own.push_back(missing[i]);
      batches.push_back(batches_[static_cast<std::size_t>(missing[i])]);
      tokens += static_cast<double>(batches.back().tokens());
    }
    const model::FolderWeights plain(context_.model.layout, context_.model.tensors);
    const model::FolderWeights other(output.layout, output.tensors);
    std::optional<report::Progress> progress;
    std::optional<report::ProgressTicker> ticker;
    const model::ModelDescription& description = context_.model.description;
    const std::int64_t steps = description.layers + 1;
    if (context_.comm.is_root() && !own.empty()) {
      progress.emplace(
          context_.log, "evaluate",
          steps * count_passes(batches, evaluation::hidden_bytes_per_token(description)),
          tokens * static_cast<double>(steps));
      progress->set_unit("blocks");
      progress->set_events(context_.events);
      ticker.emplace(*progress);
    }
    evaluation::CompareSettings settings;
    settings.hidden_bytes = evaluation::kHiddenBytes;
    settings.should_stop = [&] { return context_.control.should_stop(); };
    settings.progress = [&](double done) {
      if (progress) progress->advance(done);
    };
    const auto take = [&](evaluation::ComparedBatch batch) {
      batch.batch = own[static_cast<std::size_t>(batch.batch)];
      for (evaluation::StateDifference& state : batch.states) state.batch = batch.batch;
      faults::reach(faults::Point::batch_evaluated, fmt::format("{}", batch.batch));
      save_batch(context_, run_, batch);
      keep(batch);
    };
    evaluation::compare_batches(context_.backend, {description, context_.model.layout, plain},
                                {output.description, output.layout, other}, documents_, batches,
                                settings, take);
  }

  // On root, from all ranks.
  std::optional<Evaluation> gather() const {
    std::vector<evaluation::TokenComparison> tokens = comm::gather_values(context_.comm, tokens_);
    std::vector<evaluation::StateDifference> states = comm::gather_values(context_.comm, states_);
    if (!context_.comm.is_root()) return std::nullopt;
    Evaluation evaluation;
    evaluation.figures = evaluation::summarize(std::move(tokens));
    evaluation.block_errors = evaluation::errors_along_blocks(std::move(states));
    return evaluation;
  }

  std::int64_t batches() const { return std::ssize(batches_); }

 private:
  void keep(const evaluation::ComparedBatch& batch) {
    tokens_.insert(tokens_.end(), batch.tokens.begin(), batch.tokens.end());
    states_.insert(states_.end(), batch.states.begin(), batch.states.end());
  }

  const waves::RunContext& context_;
  std::string run_;
  const evaluation::Documents& documents_;
  std::vector<evaluation::DocumentBatch> batches_;
  std::vector<evaluation::TokenComparison> tokens_;
  std::vector<evaluation::StateDifference> states_;
};

void report_evaluation(const waves::RunContext& context, const Evaluation& evaluation) {
  const evaluation::Comparison& figures = evaluation.figures;
  context.log.line(
      "evaluate",
      fmt::format("perplexity {:.5f}, of the model {:.5f}, on {} rows of {} that were kept apart",
                  figures.other_perplexity, figures.plain_perplexity, evaluation.rows,
                  evaluation.length));
  context.log.line(
      "evaluate",
      fmt::format("KL divergence {:.6g} (99th percentile {:.6g}), same likeliest "
                  "token {:.3f} %",
                  figures.mean_divergence, figures.divergence_99, 100.0 * figures.top_agreement));
  context.events.write("evaluation", "evaluate",
                       {{"rows", evaluation.rows},
                        {"rows_xxh3_128", evaluation.rows_hash},
                        {"perplexity", figures.other_perplexity},
                        {"plain_perplexity", figures.plain_perplexity},
                        {"kl_mean", figures.mean_divergence},
                        {"kl_99", figures.divergence_99},
                        {"top1_agreement", figures.top_agreement}});
}

}  // namespace

void check_validation_rows(const waves::RunContext& context) {
  const std::int64_t rows = count_rows(context);
  comm::on_root(context.comm, [&] {
    if (rows > 0) read_rows(context, rows);
  });
}

std::optional<Evaluation> evaluate_model(const waves::RunContext& context,
                                         const output::AllocatedModel& allocated) {
  const std::int64_t rows = count_rows(context);
  if (rows == 0) {
    context.log.line("evaluate", context.config.evaluation.rows == 0
                                     ? "left out, as asked"
                                     : "left out: no rows are left that calibration did not see");
    return std::nullopt;
  }
  context.events.write("phase_start", "evaluate");
  evaluation::Documents documents;
  comm::on_all(context.comm, [&] { documents = read_rows(context, rows); });
  const std::string hash = hash_of(documents);
  Evaluator evaluator(context, output::output_fingerprint(context, allocated) + ':' + hash,
                      documents);
  const std::vector<std::int64_t> missing = evaluator.load();
  if (std::ssize(missing) < evaluator.batches()) {
    context.log.line("evaluate",
                     fmt::format("{} of {} batches evaluated by an earlier run",
                                 evaluator.batches() - std::ssize(missing), evaluator.batches()));
  }
  if (!missing.empty()) {
    comm::on_all(context.comm, [&] {
      const model::SourceModel output(context.config.output.dir);
      evaluator.compare(output, missing);
    });
    if (context.control.agree() >= control::SignalWish::stop) {
      context.control.leave("in stage evaluate");
    }
  }
  std::optional<Evaluation> evaluation = evaluator.gather();
  if (evaluation) {
    evaluation->rows = rows;
    evaluation->length = context.config.calibration.length;
    evaluation->rows_hash = hash;
    report_evaluation(context, *evaluation);
  }
  context.events.write("phase_end", "evaluate");
  return evaluation;
}

double evaluation_cost(const waves::Job& job) {
  return evaluation::evaluation_operations(
      job.model.layout, job.config.most_evaluation_rows() * job.config.calibration.length);
}

}  // namespace shardquant::stages
