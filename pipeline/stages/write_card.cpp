#include "pipeline/stages/write_card.hpp"

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/folder_files.hpp"
#include "pipeline/formats/shard_file.hpp"
#include "pipeline/output/describe_model.hpp"
#include "pipeline/output/layer_state.hpp"
#include "pipeline/report/model_card.hpp"

namespace shardquant::stages {

namespace {

namespace fs = std::filesystem;

constexpr const char* kKind = "model card";
constexpr const char* kName = "card";
constexpr std::int64_t kMostBytes = std::int64_t{1} << 26;

std::string name_of(const fs::path& path) {
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

std::string calibration_name(const config::RunConfig::Calibration& calibration) {
  if (!calibration.text.empty()) return name_of(calibration.text);
  if (calibration.sources.size() == 1) return name_of(calibration.sources.front().path);
  if (!calibration.sources.empty()) return fmt::format("{} sources", calibration.sources.size());
  return name_of(calibration.tokens);
}

report::ModelCard card_of(const waves::RunContext& context, const output::AllocatedModel& allocated,
                          const std::optional<Evaluation>& evaluation) {
  const records::Plan& plan = allocated.plan;
  report::ModelCard card = output::card_of_model(
      context.config.model.path, context.model.description, context.model.layout, context.format);
  card.bpw = plan.bpw();
  card.stored_bpw = plan.stored_bpw();
  card.plain_bytes = context.model.folder.tensor_bytes();
  card.folder_bpw = 8.0 * static_cast<double>(allocated.output.plan.file_bytes()) /
                    static_cast<double>(context.model.parameters());
  card.head_bits = context.config.allocate.head_bits;
  card.weight_bytes = allocated.output.plan.file_bytes();
  card.objective = plan.objective;
  card.objective_value = plan.objective_value;
  card.sum_err = plan.sum_err;
  card.max_err = plan.max_err;
  card.calibration = calibration_name(context.config.calibration);
  card.calibration_rows = context.config.calibration.rows;
  card.calibration_length = context.config.calibration.length;
  if (evaluation) {
    const evaluation::Comparison& figures = evaluation->figures;
    card.evaluation = {figures.other_perplexity, figures.plain_perplexity, figures.mean_divergence,
                       figures.divergence_99,    figures.top_agreement,    evaluation->rows,
                       evaluation->length,       evaluation->rows_hash};
  }
  return card;
}

// The hash of the card that this job wrote; empty where it wrote none.
std::string written_hash(const waves::RunContext& context, const std::string& fingerprint) {
  const fs::path path = context.work.quantized(kName);
  if (!checkpoint::state_file_is_usable(path, kKind, fingerprint)) return "";
  return checkpoint::StateFileReader(path, kKind, fingerprint).text("hash");
}

}  // namespace

void write_card(const waves::RunContext& context, const output::AllocatedModel& allocated,
                const std::optional<Evaluation>& evaluation) {
  comm::on_root(context.comm, [&] {
    const fs::path path = context.config.output.dir / formats::kModelCardName;
    const std::string text = report::model_card_text(card_of(context, allocated, evaluation));
    const std::string hash = checkpoint::xxh3_128_hex(text);
    const std::string fingerprint = output::output_fingerprint(context, allocated);
    const std::string known = written_hash(context, fingerprint);
    if (fs::exists(path)) {
      // Its table of sizes is written by a sweep; it does not count.
      const std::string there = checkpoint::xxh3_128_hex(
          report::with_siblings(checkpoint::read_whole(path, kMostBytes), {}));
      if (there == hash && known == hash) return;
      if (there != hash && there != known) {
        context.log.line("card", path.string() + " was changed since and is left as it is");
        return;
      }
    }
    // By way of the partial name of all files of the folder, which a run that goes on uses again.
    formats::write_file(path, text, formats::Overwrite::yes);
    checkpoint::StateFileWriter record(context.work.quantized(kName), kKind, fingerprint);
    record.add_text("hash", hash);
    record.commit();
    context.log.line("card", path.string());
  });
}

}  // namespace shardquant::stages
