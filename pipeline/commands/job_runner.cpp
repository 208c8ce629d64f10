#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <optional>

#include "kernels/api/kernel_error.hpp"
#include "kernels/make_backend.hpp"
#include "pipeline/calibration/prepare_rows.hpp"
#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/generation.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/comm/observed_communicator.hpp"
#include "pipeline/commands/check_job.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/commands/device_faults.hpp"
#include "pipeline/commands/job_locks.hpp"
#include "pipeline/commands/open_backend.hpp"
#include "pipeline/control/time_limit.hpp"
#include "pipeline/control/watchdog.hpp"
#include "pipeline/faults/fault_point.hpp"
#include "pipeline/report/memory.hpp"
#include "pipeline/stages/device_link.hpp"
#include "pipeline/stages/evaluate_model.hpp"
#include "pipeline/stages/fingerprint_run.hpp"
#include "pipeline/stages/hash_model.hpp"
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

stages::Slices slices_of(const config::RunConfig& config) {
  return {config.calibration.rows, config.calibration.slice_rows, config.calibration.length};
}

kernels::DeviceKind device_kind(const std::string& name) {
  if (name == "cpu") return kernels::DeviceKind::cpu;
  if (name == "cuda") return kernels::DeviceKind::cuda;
  return kernels::DeviceKind::automatic;
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

// Ties the work folder to this run; returns the hash of the fingerprint that its state carries.
std::string match_work_folder(const checkpoint::WorkFolder& work, const RunArguments& arguments,
                              const checkpoint::RunFingerprint& fingerprint) {
  const bool has_state = std::filesystem::exists(work.fingerprint());
  if (arguments.resume == "never" && has_state) {
    fail(ExitCode::cannot_create,
         "{}: holds the state of a run, and --resume never was given; name another work folder "
         "(work.dir) or move this one away",
         work.path().string());
  }
  if (arguments.resume == "require" && !has_state) {
    fail(ExitCode::no_input, "{}: holds no state to go on from, and --resume require was given",
         work.path().string());
  }
  const auto match = checkpoint::match_or_store_fingerprint(
      work.fingerprint(), fingerprint, arguments.accept_build_change ? stages::kBuildField : "");
  if (!match.set_aside.empty()) {
    fmt::print(stderr, "shardquant: warning: {}: damaged; kept as {}\n",
               work.fingerprint().string(), match.set_aside.filename().string());
  }
  return match.in_force.hex();
}

// Text and other sources become a token file in the work folder, made by root; from there on the
// run is one from tokens. Rows for the evaluation are set apart as well. To be called with the
// folder's lock held.
config::RunConfig with_token_file(comm::Communicator& comm, const config::RunConfig& asked) {
  std::string file;
  comm::on_root(comm, [&] {
    file = calibration::prepare_rows(asked, checkpoint::WorkFolder(asked.work.dir)).string();
  });
  config::RunConfig config = asked;
  config.calibration.tokens = comm::broadcast_text(comm, std::move(file));
  return config;
}

// The work folder, ready for this run; returns the fingerprint's hash on all ranks. `asked` is the
// job as the user gave it.
std::string prepare_work_folder(comm::Communicator& comm, const config::RunConfig& asked,
                                const config::RunConfig& config, const RunArguments& arguments,
                                const stages::SourceModel& model) {
  const auto file_hashes = stages::hash_model(comm, model.folder);
  std::string hash;
  comm::on_root(comm, [&] {
    const checkpoint::WorkFolder work(config.work.dir);
    hash = match_work_folder(work, arguments, stages::fingerprint_run(config, model, file_hashes));
    work.remove_temporaries();
    checkpoint::remove_uncommitted_generations(work.hidden_states());
    checkpoint::write_durably(work.resolved_config(), config::resolved_text(asked));
  });
  return comm::broadcast_text(comm, std::move(hash));
}

stages::MemoryPlan memory_of(const config::RunConfig& config, const stages::SourceModel& model,
                             int ranks) {
  stages::MemoryPlan plan = stages::plan_memory(model.description, model.layout, slices_of(config),
                                                ranks, static_cast<int>(config.device.threads),
                                                config.measure.err_norm == "row_mean",
                                                stages::most_evaluation_rows(config));
  if (kernels::cuda_module_is_loaded()) {
    plan.terms.push_back({"libraries of CUDA", stages::kCudaLibraryBytes, false});
  }
  return plan;
}

void report_start(const stages::RunContext& context, const stages::MemoryPlan& memory,
                  const std::string& reason, const std::string& no_link) {
  const model::ModelDescription& model = context.model.description;
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

// Ends a job in which a rank holds up the others; called from the watchdog's thread.
void end_stalled_job(comm::Communicator& comm, const std::string& complaint) {
  fmt::print(stderr,
             "shardquant: error: {}; the job is ended, run the same command again to go on from "
             "the last state\n",
             complaint);
  ::alarm(10);  // should the abort itself hang
  comm.abort(static_cast<int>(ExitCode::unavailable));
}

control::Watchdog::Options watchdog_options(comm::Communicator& comm,
                                            const checkpoint::WorkFolder& work,
                                            const RunArguments& arguments, const JobLocks& locks) {
  control::Watchdog::Options options;
  options.folder = work.heartbeats();
  options.rank = comm.rank();
  options.ranks = comm.size();
  options.timeout_s = comm.size() > 1 ? arguments.stall_timeout_s : 0.0;
  options.on_beat = [&locks] { return locks.touch(); };
  options.on_stall = [&comm](const std::string& complaint) { end_stalled_job(comm, complaint); };
  return options;
}

std::optional<double> time_limit(const RunArguments& arguments) {
  return control::read_time_limit(arguments.max_time, static_cast<double>(std::time(nullptr)),
                                  [](const char* variable) { return std::getenv(variable); });
}

// A damaged log of events must not keep a job from its state.
void open_event_log(const std::filesystem::path& path, const std::string& run,
                    std::optional<report::EventLog>& events) {
  try {
    events.emplace(path, run);
  } catch (const Failure& failure) {
    if (failure.code() != ExitCode::bad_data) throw;
    fmt::print(stderr, "shardquant: warning: {}; kept as {}\n", failure.what(),
               checkpoint::set_aside_damaged(path).filename().string());
    events.emplace(path, run);
  }
}

// What ended the run is told in any case, also where the log has no room for it.
void record_end(report::EventLog& events, ExitCode code) {
  try {
    events.write("run_end", "end", {{"exit_code", static_cast<int>(code)}});
  } catch (const Failure&) {
  }
}

void report_restart(const stages::RunContext& context) {
  if (context.events.restart() == 0) return;
  const char* job = std::getenv("SLURM_JOB_ID");
  context.log.line("start", fmt::format("=== restart {}{} ===", context.events.restart(),
                                        job != nullptr ? std::string(" of job ") + job : ""));
}

}  // namespace

void run_job(comm::Communicator& launched, const RunArguments& arguments) {
  comm::Activity activity;
  comm::ObservedCommunicator comm(launched, activity);
  require_same_call(comm, arguments);
  std::optional<double> limit;
  comm::on_all(comm, [&] { limit = time_limit(arguments); });
  const config::RunConfig asked = agree_on_config(comm, arguments);
  config::RunConfig config = asked;
  control::RunControl control(comm, {static_cast<double>(config.checkpoint.every_s), limit});
  const auto model = open_model(comm, config);
  std::optional<formats::TokenStream> tokens;
  const auto open_tokens = [&] {
    tokens.emplace(config.calibration.tokens);
    tokens->require_rows(config.calibration.rows, config.calibration.length);
  };
  const bool has_tokens = !asked.calibration.tokens.empty();
  if (has_tokens) comm::on_all(comm, open_tokens);
  std::string reason;
  const auto backend =
      open_backend(comm, device_kind(config.device.kind), config.device.threads, reason);
  report::Log log({.enabled = comm.is_root()});
  const stages::MemoryPlan memory = memory_of(config, *model, comm.size());
  check_job(comm, arguments, {config, *model, *backend, memory.bytes()}, log);
  std::string no_link;
  const auto device_link = stages::open_device_link(comm, *backend, no_link);
  faults::reach(faults::Point::inputs_opened);

  JobLocks locks;
  comm::on_root(comm, [&] { locks.take(config, arguments.last == LastStage::quantize); });
  config = with_token_file(comm, asked);
  if (!has_tokens) comm::on_all(comm, open_tokens);
  const checkpoint::WorkFolder work(config.work.dir);
  const control::Watchdog watchdog(activity, watchdog_options(comm, work, arguments, locks));
  std::string fingerprint = prepare_work_folder(comm, asked, config, arguments, *model);
  faults::reach(faults::Point::work_opened);

  std::optional<report::EventLog> events;
  comm::on_all(comm, [&] {
    if (comm.is_root()) {
      open_event_log(work.events(), fingerprint, events);
    } else {
      events.emplace();
    }
  });
  const stages::RunContext context{comm,
                                   *backend,
                                   config,
                                   *model,
                                   *tokens,
                                   work,
                                   log,
                                   *events,
                                   control,
                                   std::move(fingerprint),
                                   slices_of(config),
                                   quantizer_settings(config.quantizer),
                                   kernels::exl2_2023_options(),
                                   device_link.get()};
  report_restart(context);
  if (comm.is_root()) report_start(context, memory, reason, no_link);
  try {
    with_device_faults(
        comm.rank(), [&] { stages::run_pipeline(context, arguments.last == LastStage::measure); });
    report_end(context);
  } catch (const Failure& failure) {
    record_end(*events, failure.code());
    throw;
  }
}

}  // namespace shardquant::commands
