#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

#include "pipeline/calibration/document_source.hpp"
#include "pipeline/calibration/token_rows.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/commands/device_faults.hpp"
#include "pipeline/commands/open_backend.hpp"
#include "pipeline/evaluation/compare_models.hpp"
#include "pipeline/evaluation/evaluate_documents.hpp"
#include "pipeline/evaluation/evaluate_rows.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/model/source_model.hpp"

namespace shardquant::commands {

namespace {

formats::LinkPolicy links_of(const EvalArguments& arguments) {
  return formats::link_policy(arguments.follow_symlinks);
}

// This rank's rows: whole batches, so that every batch is the same for any number of ranks.
evaluation::RowRange own_rows(const comm::Communicator& comm, std::int64_t rows,
                              std::int64_t length) {
  const std::int64_t batch = evaluation::evaluation_batch_rows(length);
  const std::int64_t batches = (rows + batch - 1) / batch;
  const std::int64_t first = std::min(rows, batches * comm.rank() / comm.size() * batch);
  const std::int64_t end = std::min(rows, batches * (comm.rank() + 1) / comm.size() * batch);
  return {first, end - first, length};
}

// Every document of the text as ids, BOS first where the tokenizer has one; cut at the length asked
// for, or else where the model's positions end.
evaluation::Documents read_documents(const EvalArguments& arguments, std::int64_t positions) {
  const std::int64_t most = arguments.length > 0 ? arguments.length : positions;
  const auto tokenizer = tokenizer::open_tokenizer(arguments.model_dir);
  evaluation::Documents documents;
  for (const auto& file : calibration::source_files(arguments.text)) {
    const calibration::DocumentRules rules{calibration::source_kind("auto", file),
                                           arguments.separator, "text"};
    if (rules.kind != calibration::SourceKind::text &&
        rules.kind != calibration::SourceKind::jsonl) {
      fail(ExitCode::usage, "{}: tokens, not text; give them as --tokens", file.string());
    }
    calibration::read_documents(file, rules, [&](std::string_view text) {
      auto& ids = documents.emplace_back();
      calibration::append_document(*tokenizer, text, tokenizer->bos(), ids, file);
      if (std::ssize(ids) > most) ids.resize(static_cast<std::size_t>(most));
      return arguments.rows == 0 || std::ssize(documents) < arguments.rows;
    });
  }
  if (documents.empty()) fail(ExitCode::bad_data, "{}: no text in it", arguments.text);
  return documents;
}

void print_result(const EvalArguments& arguments, double perplexity, std::int64_t rows,
                  const std::string& of_what) {
  if (arguments.json) {
    std::printf("{\"perplexity\": %.8f, \"rows\": %lld, \"length\": %lld}\n", perplexity,
                static_cast<long long>(rows), static_cast<long long>(arguments.length));
  } else {
    std::printf("perplexity %.5f over %lld %s\n", perplexity, static_cast<long long>(rows),
                of_what.c_str());
  }
}

// Every row of a token stream as a document.
evaluation::Documents read_rows(const EvalArguments& arguments, std::int64_t vocabulary) {
  const formats::TokenStream tokens(arguments.tokens);
  const std::int64_t rows = arguments.rows > 0 ? arguments.rows : tokens.rows_of(arguments.length);
  tokens.require_rows(std::max<std::int64_t>(rows, 1), arguments.length);
  evaluation::Documents documents(static_cast<std::size_t>(rows));
  for (std::int64_t row = 0; row < rows; ++row) {
    auto& document = documents[static_cast<std::size_t>(row)];
    document.resize(static_cast<std::size_t>(arguments.length));
    tokens.read_row(row, vocabulary, document);
  }
  return documents;
}

// What all ranks read, root first.
struct Inputs {
  std::unique_ptr<model::SourceModel> model, plain;
  evaluation::Documents documents;

  void open(const EvalArguments& arguments) {
    if (model) return;
    model = std::make_unique<model::SourceModel>(arguments.model_dir, links_of(arguments));
    const model::ModelDescription& description = model->description;
    if (!arguments.against.empty()) {
      plain = std::make_unique<model::SourceModel>(arguments.against, links_of(arguments));
    }
    documents = arguments.text.empty()
                    ? read_rows(arguments, description.vocab_size)
                    : read_documents(arguments, description.max_position_embeddings);
  }
};

// Batches are dealt out in turn: they are sorted by length, so every rank gets some of all.
std::vector<evaluation::DocumentBatch> own_batches(const comm::Communicator& comm,
                                                   const evaluation::Documents& documents) {
  const std::vector<evaluation::DocumentBatch> all = evaluation::batch_documents(documents);
  std::vector<evaluation::DocumentBatch> own;
  for (std::int64_t i = comm.rank(); i < std::ssize(all); i += comm.size()) {
    own.push_back(all[static_cast<std::size_t>(i)]);
  }
  return own;
}

void print_losses(const EvalArguments& arguments, std::vector<evaluation::DocumentLoss> all) {
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.document < b.document; });
  std::vector<evaluation::RowLoss> losses;
  for (const evaluation::DocumentLoss& one : all) losses.push_back(one.loss);
  print_result(arguments, evaluation::perplexity(losses), std::ssize(losses), "documents");
}

void print_comparison(const EvalArguments& arguments,
                      std::vector<evaluation::TokenComparison> tokens, std::int64_t documents) {
  if (tokens.empty()) fail(ExitCode::bad_data, "no token is predicted: every document has one");
  const evaluation::Comparison all = evaluation::summarize(std::move(tokens));
  const auto count = static_cast<long long>(documents);
  if (arguments.json) {
    std::printf(
        "{\"perplexity\": %.8f, \"plain_perplexity\": %.8f, \"kl_mean\": %.9g, \"kl_99\": %.9g, "
        "\"top1_agreement\": %.8f, \"tokens\": %lld, \"rows\": %lld}\n",
        all.other_perplexity, all.plain_perplexity, all.mean_divergence, all.divergence_99,
        all.top_agreement, static_cast<long long>(all.tokens), count);
    return;
  }
  std::printf("perplexity %.5f, of the plain model %.5f\n", all.other_perplexity,
              all.plain_perplexity);
  std::printf("KL divergence from the plain model: mean %.6g, 99th percentile %.6g\n",
              all.mean_divergence, all.divergence_99);
  std::printf("same token likeliest: %.3f %%\n", 100.0 * all.top_agreement);
  std::printf("over %lld tokens of %lld %s\n", static_cast<long long>(all.tokens), count,
              arguments.text.empty() ? "rows" : "documents");
}

void evaluate_documents(comm::Communicator& comm, const EvalArguments& arguments) {
  Inputs inputs;
  comm::on_root(comm, [&] { inputs.open(arguments); });
  comm::on_all(comm, [&] { inputs.open(arguments); });
  std::string reason;
  const auto backend =
      open_backend(comm, kernels::DeviceKind::automatic, arguments.threads, reason);
  std::vector<evaluation::DocumentLoss> losses;
  std::vector<evaluation::TokenComparison> comparisons;
  comm::on_all(comm, [&] {
    const model::SourceModel& model = *inputs.model;
    const auto batches = own_batches(comm, inputs.documents);
    const model::FolderWeights source(model.layout, model.tensors);
    with_device_faults(comm.rank(), [&] {
      if (!inputs.plain) {
        losses = evaluation::evaluate_documents(*backend, {model.description, model.layout, source},
                                                inputs.documents, batches);
        return;
      }
      const model::FolderWeights plain(inputs.plain->layout, inputs.plain->tensors);
      comparisons = evaluation::compare_models(
          *backend, {inputs.plain->description, inputs.plain->layout, plain},
          {model.description, model.layout, source}, inputs.documents, batches);
    });
  });
  if (!inputs.plain) {
    losses = comm::gather_values(comm, losses);
    if (comm.is_root()) print_losses(arguments, std::move(losses));
    return;
  }
  comparisons = comm::gather_values(comm, comparisons);
  comm::on_root(comm, [&] {
    print_comparison(arguments, std::move(comparisons), std::ssize(inputs.documents));
  });
}

}  // namespace

void evaluate(comm::Communicator& comm, const EvalArguments& arguments) {
  if (!arguments.text.empty() || !arguments.against.empty()) {
    evaluate_documents(comm, arguments);
    return;
  }
  std::unique_ptr<model::SourceModel> model;
  std::optional<formats::TokenStream> tokens;
  std::int64_t rows = arguments.rows;
  const auto open = [&] {
    if (model) return;
    model = std::make_unique<model::SourceModel>(arguments.model_dir, links_of(arguments));
    tokens.emplace(arguments.tokens);
    if (rows == 0) rows = tokens->rows_of(arguments.length);
    tokens->require_rows(std::max<std::int64_t>(rows, 1), arguments.length);
  };
  comm::on_root(comm, open);
  comm::on_all(comm, open);

  std::string reason;
  const auto backend =
      open_backend(comm, kernels::DeviceKind::automatic, arguments.threads, reason);
  std::vector<evaluation::RowLoss> mine;
  comm::on_all(comm, [&] {
    const evaluation::RowRange range = own_rows(comm, rows, arguments.length);
    if (range.count == 0) return;
    const model::FolderWeights source(model->layout, model->tensors);
    with_device_faults(comm.rank(), [&] {
      mine = evaluation::evaluate_rows(*backend, {model->description, model->layout, source},
                                       *tokens, range);
    });
  });
  const std::vector<evaluation::RowLoss> all = comm::gather_values(comm, mine);
  if (!comm.is_root()) return;
  print_result(arguments, evaluation::perplexity(all), rows,
               fmt::format("rows of {}", arguments.length));
}

}  // namespace shardquant::commands
