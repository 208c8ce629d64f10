#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include "kernels/make_backend.hpp"
#include "pipeline/calibration/document_source.hpp"
#include "pipeline/calibration/token_rows.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/model/evaluate_documents.hpp"
#include "pipeline/model/evaluate_rows.hpp"
#include "pipeline/stages/source_model.hpp"

namespace shardquant::commands {

namespace {

// This rank's rows: whole batches, so that every batch is the same for any number of ranks.
model::RowRange own_rows(const comm::Communicator& comm, std::int64_t rows, std::int64_t length) {
  const std::int64_t batch = model::evaluation_batch_rows(length);
  const std::int64_t batches = (rows + batch - 1) / batch;
  const std::int64_t first = std::min(rows, batches * comm.rank() / comm.size() * batch);
  const std::int64_t end = std::min(rows, batches * (comm.rank() + 1) / comm.size() * batch);
  return {first, end - first, length};
}

template <class Loss>
std::vector<Loss> gather_losses(comm::Communicator& comm, const std::vector<Loss>& mine) {
  std::vector<Loss> all;
  for (const auto& part : comm.gather(std::as_bytes(std::span(mine)))) {
    const std::size_t before = all.size();
    all.resize(before + part.size() / sizeof(Loss));
    if (!part.empty()) std::memcpy(all.data() + before, part.data(), part.size());
  }
  return all;
}

// Every document of the text as ids, BOS first where the tokenizer has one; cut at the length asked
// for, or else where the model's positions end.
model::Documents read_documents(const EvalArguments& arguments, std::int64_t positions) {
  const std::int64_t most = arguments.length > 0 ? arguments.length : positions;
  const auto tokenizer = tokenizer::open_tokenizer(arguments.model_dir);
  model::Documents documents;
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

// Batches are dealt out in turn: they are sorted by length, so every rank gets some of all.
void evaluate_text(comm::Communicator& comm, const EvalArguments& arguments) {
  std::unique_ptr<stages::SourceModel> model;
  model::Documents documents;
  const auto open = [&] {
    if (model) return;
    model = std::make_unique<stages::SourceModel>(arguments.model_dir);
    documents = read_documents(arguments, model->description.max_position_embeddings);
  };
  comm::on_root(comm, open);
  comm::on_all(comm, open);
  std::string reason;
  const auto backend =
      kernels::make_backend(kernels::DeviceKind::automatic, arguments.threads, reason);
  std::vector<model::DocumentLoss> mine;
  comm::on_all(comm, [&] {
    const std::vector<model::DocumentBatch> all = model::batch_documents(documents);
    std::vector<model::DocumentBatch> own;
    for (std::int64_t i = comm.rank(); i < std::ssize(all); i += comm.size()) {
      own.push_back(all[static_cast<std::size_t>(i)]);
    }
    const model::FolderWeights source(model->layout, model->tensors);
    mine = model::evaluate_documents(*backend, model->description, model->layout, source, documents,
                                     own);
  });
  std::vector<model::DocumentLoss> all = gather_losses(comm, mine);
  if (!comm.is_root()) return;
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.document < b.document; });
  std::vector<model::RowLoss> losses;
  for (const model::DocumentLoss& one : all) losses.push_back(one.loss);
  print_result(arguments, model::perplexity(losses), std::ssize(losses), "documents");
}

}  // namespace

void evaluate(comm::Communicator& comm, const EvalArguments& arguments) {
  if (!arguments.text.empty()) {
    evaluate_text(comm, arguments);
    return;
  }
  std::unique_ptr<stages::SourceModel> model;
  std::optional<formats::TokenStream> tokens;
  std::int64_t rows = arguments.rows;
  const auto open = [&] {
    if (model) return;
    model = std::make_unique<stages::SourceModel>(arguments.model_dir);
    tokens.emplace(arguments.tokens);
    if (rows == 0) rows = tokens->rows_of(arguments.length);
    tokens->require_rows(std::max<std::int64_t>(rows, 1), arguments.length);
  };
  comm::on_root(comm, open);
  comm::on_all(comm, open);

  std::string reason;
  const auto backend =
      kernels::make_backend(kernels::DeviceKind::automatic, arguments.threads, reason);
  std::vector<model::RowLoss> mine;
  comm::on_all(comm, [&] {
    const model::RowRange range = own_rows(comm, rows, arguments.length);
    if (range.count == 0) return;
    const model::FolderWeights source(model->layout, model->tensors);
    mine =
        model::evaluate_rows(*backend, model->description, model->layout, source, *tokens, range);
  });
  const std::vector<model::RowLoss> all = gather_losses(comm, mine);
  if (!comm.is_root()) return;
  print_result(arguments, model::perplexity(all), rows,
               fmt::format("rows of {}", arguments.length));
}

}  // namespace shardquant::commands
