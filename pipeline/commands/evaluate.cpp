#include <cstdio>
#include <memory>

#include "pipeline/commands/commands.hpp"
#include "pipeline/commands/device_faults.hpp"
#include "pipeline/commands/evaluation_figures.hpp"
#include "pipeline/commands/evaluation_rows.hpp"
#include "pipeline/commands/open_backend.hpp"
#include "pipeline/evaluation/compare_models.hpp"
#include "pipeline/evaluation/evaluate_documents.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/model/tied_head.hpp"
#include "pipeline/report/log.hpp"

namespace shardquant::commands {

namespace {

formats::LinkPolicy links_of(const EvalArguments& arguments) {
  return formats::link_policy(arguments.follow_symlinks);
}

// What all ranks read, root first.
struct Inputs {
  std::unique_ptr<model::SourceModel> model, plain;
  EvaluationRows rows;

  void open(const EvalArguments& arguments) {
    if (model) return;
    model = std::make_unique<model::SourceModel>(arguments.model_dir, links_of(arguments));
    if (!arguments.against.empty()) {
      plain = std::make_unique<model::SourceModel>(arguments.against, links_of(arguments));
    }
    rows = read_evaluation_rows(arguments, model->description);
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

}  // namespace

void evaluate(comm::Communicator& comm, const EvalArguments& arguments) {
  Inputs inputs;
  comm::on_root(comm, [&] {
    inputs.open(arguments);
    const std::string tied = model::tied_head_warning(*inputs.model);
    if (!tied.empty()) inputs.rows.notes.push_back("warning: " + tied);
    for (const std::string& note : inputs.rows.notes) {
      std::fprintf(stderr, "shardquant: %s\n", report::printable(note).c_str());
    }
  });
  comm::on_all(comm, [&] { inputs.open(arguments); });
  std::string reason;
  const auto backend =
      open_backend(comm, kernels::DeviceKind::automatic, arguments.threads, reason);
  std::vector<evaluation::DocumentLoss> losses;
  std::vector<evaluation::TokenComparison> comparisons;
  comm::on_all(comm, [&] {
    const model::SourceModel& model = *inputs.model;
    const auto batches = own_batches(comm, inputs.rows.rows);
    const model::FolderWeights source(model.layout, model.tensors);
    with_device_faults(comm.rank(), [&] {
      if (!inputs.plain) {
        losses = evaluation::evaluate_documents(*backend, {model.description, model.layout, source},
                                                inputs.rows.rows, batches);
        return;
      }
      const model::FolderWeights plain(inputs.plain->layout, inputs.plain->tensors);
      comparisons = evaluation::compare_models(
          *backend, {inputs.plain->description, inputs.plain->layout, plain},
          {model.description, model.layout, source}, inputs.rows.rows, batches);
    });
  });
  losses = comm::gather_values(comm, losses);
  comparisons = comm::gather_values(comm, comparisons);
  comm::on_root(comm, [&] {
    const Evaluated evaluated = inputs.plain ? figures_of(inputs.rows, std::move(comparisons))
                                             : figures_of(inputs.rows, std::move(losses));
    print_evaluated(inputs.rows, evaluated, arguments.json);
  });
}

}  // namespace shardquant::commands
