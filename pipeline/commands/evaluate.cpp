#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "kernels/make_backend.hpp"
#include "pipeline/comm/launch_environment.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/commands/device_faults.hpp"
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

std::vector<model::RowLoss> gather_losses(comm::Communicator& comm,
                                          const std::vector<model::RowLoss>& mine) {
  std::vector<model::RowLoss> all;
  for (const auto& part : comm.gather(std::as_bytes(std::span(mine)))) {
    const std::size_t before = all.size();
    all.resize(before + part.size() / sizeof(model::RowLoss));
    if (!part.empty()) std::memcpy(all.data() + before, part.data(), part.size());
  }
  return all;
}

}  // namespace

void evaluate(comm::Communicator& comm, const EvalArguments& arguments) {
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
  const auto launch =
      comm::LaunchEnvironment::read([](const char* name) { return std::getenv(name); });
  const auto backend = kernels::make_backend(kernels::DeviceKind::automatic, arguments.threads,
                                             reason, static_cast<int>(launch.local_rank));
  std::vector<model::RowLoss> mine;
  comm::on_all(comm, [&] {
    const model::RowRange range = own_rows(comm, rows, arguments.length);
    if (range.count == 0) return;
    const model::FolderWeights source(model->layout, model->tensors);
    with_device_faults(comm.rank(), [&] {
      mine =
          model::evaluate_rows(*backend, model->description, model->layout, source, *tokens, range);
    });
  });
  const std::vector<model::RowLoss> all = gather_losses(comm, mine);
  if (!comm.is_root()) return;
  const double perplexity = model::perplexity(all);
  if (arguments.json) {
    std::printf("{\"perplexity\": %.8f, \"rows\": %lld, \"length\": %lld}\n", perplexity,
                static_cast<long long>(rows), static_cast<long long>(arguments.length));
  } else {
    std::printf("perplexity %.5f over %lld rows of %lld\n", perplexity,
                static_cast<long long>(rows), static_cast<long long>(arguments.length));
  }
}

}  // namespace shardquant::commands
