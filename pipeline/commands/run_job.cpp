#include <cstdlib>
#include <optional>

#include "kernels/api/kernel_error.hpp"
#include "kernels/make_backend.hpp"
#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/comm/launch_environment.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/commands/device_faults.hpp"
#include "pipeline/report/memory.hpp"
#include "pipeline/stages/device_link.hpp"
#include "pipeline/stages/fingerprint_run.hpp"
#include "pipeline/stages/memory_plan.hpp"
#include "pipeline/stages/run_pipeline.hpp"

namespace shardquant::commands {

namespace {

// Root reads the job, so that an error in it is found and printed once.
config::RunConfig agree_on_config(comm::Communicator& comm, const RunArguments& arguments) {
  std::string resolved;
  comm::on_root(comm, [&] {
    resolved =
        config::resolved_text(config::read_run_config(arguments.job_file, arguments.overrides));
  });
  resolved = comm::broadcast_text(comm, std::move(resolved));
  return config::parse_run_config(resolved, arguments.job_file, "/", {});
}

// Root looks at the inputs first; the others only meet what it found to be right.
std::unique_ptr<stages::SourceModel> open_model(comm::Communicator& comm,
                                                const config::RunConfig& config) {
  std::unique_ptr<stages::SourceModel> model;
  comm::on_root(comm, [&] { model = std::make_unique<stages::SourceModel>(config.model.path); });
  comm::on_all(comm, [&] {
    if (!model) model = std::make_unique<stages::SourceModel>(config.model.path);
    model::require_quantizable(model->description, model->layout);
  });
  return model;
}

std::unique_ptr<kernels::Backend> open_backend(comm::Communicator& comm,
                                               const config::RunConfig::Device& device,
                                               std::string& reason) {
  auto kind = kernels::DeviceKind::automatic;
  if (device.kind == "cpu") kind = kernels::DeviceKind::cpu;
  if (device.kind == "cuda") kind = kernels::DeviceKind::cuda;
  const auto launch =
      comm::LaunchEnvironment::read([](const char* name) { return std::getenv(name); });
  std::unique_ptr<kernels::Backend> backend;
  comm::on_all(comm, [&] {
    try {
      backend = kernels::make_backend(kind, static_cast<int>(device.threads), reason,
                                      static_cast<int>(launch.local_rank));
    } catch (const kernels::BackendUnavailable& error) {
      throw Failure(ExitCode::unavailable, error.what());
    }
  });
  return backend;
}

kernels::QuantizerSettings quantizer_settings(const config::RunConfig::Quantizer& config) {
  kernels::QuantizerSettings settings;
  settings.damping = config.damping;
  settings.damping_floor = config.damping_floor;
  settings.damping_tries = static_cast<int>(config.damping_tries);
  settings.shrink_low = config.shrink_low;
  settings.shrink_high = config.shrink_high;
  settings.shrink_steps = static_cast<int>(config.shrink_steps);
  settings.scale_rounding = config.scale_rounding == "reader" ? kernels::ScaleRounding::reader
                                                              : kernels::ScaleRounding::exl2_2023;
  return settings;
}

// The work folder, tied to this run by its fingerprint; returns the fingerprint's hash on all
// ranks.
std::string prepare_work_folder(comm::Communicator& comm, const config::RunConfig& config,
                                const stages::SourceModel& model) {
  std::string hash;
  comm::on_root(comm, [&] {
    const auto work = checkpoint::WorkFolder::create(config.work.dir);
    work.remove_stale_temporaries();
    const auto fingerprint = stages::fingerprint_run(config, model);
    checkpoint::store_or_match_fingerprint(work.fingerprint(), fingerprint);
    checkpoint::write_durably(work.resolved_config(), config::resolved_text(config));
    hash = fingerprint.hex();
  });
  return comm::broadcast_text(comm, std::move(hash));
}

stages::MemoryPlan memory_of(const stages::RunContext& context) {
  return stages::plan_memory(context.model, context.slices, context.comm.size(),
                             static_cast<int>(context.config.device.threads),
                             context.config.measure.err_norm == "row_mean");
}

void report_start(const stages::RunContext& context, const std::string& reason,
                  const std::string& no_link) {
  const model::ModelDescription& model = context.model.description;
  const stages::MemoryPlan memory = memory_of(context);
  context.log.line("start",
                   fmt::format("{} {}: {} blocks, hidden {}, ffn {}, {} weights in them",
                               model::family_name(model.family), context.config.model.path.string(),
                               model.layers, model.hidden_size, model.intermediate_size,
                               model.block_parameters()));
  context.log.line("start", fmt::format("{} rank(s), {} ({})", context.comm.size(),
                                        context.backend.description(), reason));
  if (context.device_link != nullptr) {
    context.log.line("start", "ranks exchange Hessians from device to device (NCCL)");
  } else if (!context.backend.device_identity().empty() && context.comm.size() > 1) {
    context.log.line("start",
                     fmt::format("ranks exchange Hessians through host memory ({})", no_link));
  }
  context.log.line("start",
                   fmt::format("memory per rank at most {}", report::bytes_text(memory.bytes())));
  for (const auto& term : memory.terms) {
    context.log.line("start",
                     fmt::format("  {:<42} {:>10}", term.what, report::bytes_text(term.bytes)));
  }
  context.events.write("run_start", "start",
                       {{"ranks", context.comm.size()}, {"memory_bound_bytes", memory.bytes()}});
}

void report_end(const stages::RunContext& context) {
  const std::int64_t peak = context.comm.max(report::peak_resident_bytes());
  context.log.line("end",
                   fmt::format("peak memory of a rank {}, {} in all", report::bytes_text(peak),
                               report::clock_text(context.log.elapsed())));
  context.events.write("run_end", "end", {{"exit_code", 0}, {"peak_bytes", peak}});
}

}  // namespace

void run_job(comm::Communicator& comm, const RunArguments& arguments) {
  const config::RunConfig config = agree_on_config(comm, arguments);
  const auto model = open_model(comm, config);
  std::optional<formats::TokenStream> tokens;
  comm::on_all(comm, [&] {
    tokens.emplace(config.calibration.tokens);
    tokens->require_rows(config.calibration.rows, config.calibration.length);
  });
  std::string reason;
  const auto backend = open_backend(comm, config.device, reason);
  std::string no_link;
  const auto device_link = stages::open_device_link(comm, *backend, no_link);
  std::string fingerprint = prepare_work_folder(comm, config, *model);
  const checkpoint::WorkFolder work(config.work.dir);

  report::Log log({.enabled = comm.is_root()});
  std::optional<report::EventLog> events;
  comm::on_all(comm, [&] {
    if (comm.is_root()) {
      events.emplace(work.events(), fingerprint);
    } else {
      events.emplace();
    }
  });
  const stages::RunContext context{
      comm,
      *backend,
      config,
      *model,
      *tokens,
      work,
      log,
      *events,
      std::move(fingerprint),
      {config.calibration.rows, config.calibration.slice_rows, config.calibration.length},
      quantizer_settings(config.quantizer),
      kernels::exl2_2023_options(),
      device_link.get()};
  if (comm.is_root()) report_start(context, reason, no_link);
  with_device_faults(comm.rank(),
                     [&] { stages::run_pipeline(context, arguments.last == LastStage::measure); });
  report_end(context);
}

}  // namespace shardquant::commands
