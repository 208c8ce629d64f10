#include "pipeline/evaluation/evaluate_rows.hpp"

#include "pipeline/evaluation/document_batch.hpp"

#include <algorithm>
#include <cmath>

#include "pipeline/model/run_block.hpp"
#include "pipeline/model/run_head.hpp"

namespace shardquant::evaluation {

namespace {

/// A pass: rows whose hidden states are in memory together.
class EvaluationPass {
 public:
  EvaluationPass(kernels::Backend& backend, const model::ModelView& model,
                 const formats::TokenStream& tokens, const RowRange& range)
      : backend_(backend),
        model_(model),
        range_(range),
        tokens_(static_cast<std::size_t>(range.count * range.length)),
        hidden_(backend.allocate(range.count * range.length, model.description.hidden_size)) {
    for (std::int64_t row = 0; row < range.count; ++row) {
      tokens.read_row(range.first + row, model.description.vocab_size, tokens_of(row, 1));
    }
    model::embed_tokens(backend, model, tokens_, hidden_);
  }

  void run(std::int64_t block, model::BlockWorkspace& workspace) {
    const model::BlockWeights weights =
        model::load_block_weights(backend_, model_.source, model_.layout, block);
    for_each_batch([&](std::int64_t row, std::int64_t count) {
      model::run_block(backend_, weights, model_.description, hidden_of(row, count), workspace);
    });
  }

  void finish(const model::HeadWeights& head, std::vector<RowLoss>& losses) {
    std::vector<std::int32_t> targets;
    std::vector<double> of_tokens;
    for_each_batch([&](std::int64_t row, std::int64_t count) {
      const std::span<const std::int32_t> tokens = tokens_of(row, count);
      targets.assign(tokens.begin() + 1, tokens.end());
      targets.push_back(-1);
      for (std::int64_t i = 1; i < count; ++i) {
        targets[static_cast<std::size_t>(i * range_.length - 1)] = -1;
      }
      of_tokens.assign(targets.size(), 0.0);
      model::run_head(backend_, head, model_.description, hidden_of(row, count), targets,
                      of_tokens);
      for (std::int64_t i = 0; i < count; ++i) {
        RowLoss loss{0.0, range_.length - 1};
        for (std::int64_t t = 0; t < range_.length; ++t) {
          loss.nll += of_tokens[static_cast<std::size_t>(i * range_.length + t)];
        }
        losses.push_back(loss);
      }
    });
  }

 private:
  std::span<std::int32_t> tokens_of(std::int64_t row, std::int64_t count) {
    return std::span(tokens_).subspan(static_cast<std::size_t>(row * range_.length),
                                      static_cast<std::size_t>(count * range_.length));
  }
  kernels::MatrixView hidden_of(std::int64_t row, std::int64_t count) {
    return hidden_.view().row_range(row * range_.length, count * range_.length);
  }
  template <class Work>
  void for_each_batch(Work work) {
    const std::int64_t batch = evaluation_batch_rows(range_.length);
    for (std::int64_t row = 0; row < range_.count;) {
      const std::int64_t to_border = batch - (range_.first + row) % batch;
      const std::int64_t count = std::min(to_border, range_.count - row);
      work(row, count);
      row += count;
    }
  }

  kernels::Backend& backend_;
  const model::ModelView& model_;
  RowRange range_;
  std::vector<std::int32_t> tokens_;
  kernels::Matrix hidden_;
};

}  // namespace

double perplexity(std::span<const RowLoss> rows) {
  double nll = 0.0;
  std::int64_t predicted = 0;
  for (const RowLoss& row : rows) {
    nll += row.nll;
    predicted += row.predicted;
  }
  return perplexity_of(nll / static_cast<double>(predicted));
}

double perplexity_of(double mean_nll) {
  constexpr double kMost = 1e308;
  return std::min(std::exp(mean_nll), kMost);
}

std::int64_t evaluation_batch_rows(std::int64_t length) {
  return std::max<std::int64_t>(kBatchTokens / length, 1);
}

std::vector<RowLoss> evaluate_rows(kernels::Backend& backend, const model::ModelView& model,
                                   const formats::TokenStream& tokens, const RowRange& range,
                                   const EvaluateSettings& settings) {
  const std::int64_t batch = evaluation_batch_rows(range.length);
  const std::int64_t row_bytes =
      range.length * model.description.hidden_size * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t pass_rows =
      std::max(settings.hidden_bytes / (row_bytes * batch), std::int64_t{1}) * batch;
  std::vector<RowLoss> losses;
  for (std::int64_t done = 0; done < range.count;) {
    const std::int64_t first = range.first + done;
    // Passes end at the borders of batches, as the whole range would be cut.
    const std::int64_t count = std::min(pass_rows - first % batch, range.count - done);
    EvaluationPass pass(backend, model, tokens, {first, count, range.length});
    {
      model::BlockWorkspace workspace(backend, model.layout, batch * range.length, range.length);
      for (std::int64_t block = 0; block < model.description.layers; ++block) {
        pass.run(block, workspace);
        const double pass_share =
            static_cast<double>(block + 1) / static_cast<double>(model.description.layers + 1);
        const double rows_done =
            static_cast<double>(done) + pass_share * static_cast<double>(count);
        if (settings.progress) settings.progress(rows_done / static_cast<double>(range.count));
      }
    }
    pass.finish(model::load_head_weights(backend, model.source, model.layout), losses);
    done += count;
  }
  if (settings.progress) settings.progress(1.0);
  return losses;
}

}  // namespace shardquant::evaluation
