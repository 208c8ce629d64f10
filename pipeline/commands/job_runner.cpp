#include "pipeline/commands/job_runner.hpp"

#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <utility>

#include "kernels/make_backend.hpp"
#include "pipeline/calibration/prepare_rows.hpp"
#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/commands/check_jobs.hpp"
#include "pipeline/commands/device_faults.hpp"
#include "pipeline/commands/job_locks.hpp"
#include "pipeline/commands/open_backend.hpp"
#include "pipeline/commands/tie_work_folder.hpp"
#include "pipeline/control/time_limit.hpp"
#include "pipeline/control/watchdog.hpp"
#include "pipeline/evaluation/evaluation_cost.hpp"
#include "pipeline/faults/fault_point.hpp"
#include "pipeline/model/position_limit.hpp"
#include "pipeline/model/require_quantizable.hpp"
#include "pipeline/model/tied_head.hpp"
#include "pipeline/report/event_collector.hpp"
#include "pipeline/report/memory.hpp"
#include "pipeline/stages/fingerprint_run.hpp"
#include "pipeline/stages/hash_model.hpp"
#include "pipeline/stages/run_pipeline.hpp"

namespace shardquant::commands {

namespace {

// Root looks at the inputs first; the others only meet what it found to be right.
std::unique_ptr<model::SourceModel> open_model(comm::Communicator& comm,
                                               std::span<const Job> jobs) {
  const config::RunConfig::Model& first = jobs.front().config.model;
  std::unique_ptr<model::SourceModel> model;
  const auto open = [&first] {
    const bool follows = first.links == "follow";
    return std::make_unique<model::SourceModel>(first.path, formats::link_policy(follows));
  };
  comm::on_root(comm, [&] { model = open(); });
  comm::on_all(comm, [&] {
    if (!model) model = open();
    for (const Job& job : jobs) {
      const weights::WeightFormat& format = format_of(job.config);
      model::require_quantizable(model->description, model->layout, format);
      weights::head_option(format, job.config.allocate.head_bits);
    }
  });
  return model;
}

formats::TokenStream open_tokens(const config::RunConfig& config) {
  formats::TokenStream tokens(config.calibration.tokens);
  tokens.require_rows(config.calibration.rows, config.calibration.length);
  return tokens;
}

waves::Slices slices_of(const config::RunConfig& config) {
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
  settings.affine_objective =
      config.scale_objective == "simulated" ? kernels::ScaleObjective::simulated
      : config.scale_objective == "squared" ? kernels::ScaleObjective::squared
                                            : kernels::ScaleObjective::weighted;
  settings.scale_rounding = config.scale_rounding == "reader" ? kernels::ScaleRounding::reader
                                                              : kernels::ScaleRounding::exl2_2023;
  return settings;
}

// Text and other sources become a token file in the work folder, made by root; from there on the
// run is one from tokens. Rows for the evaluation are set apart as well. To be called with the
// folder's lock held.
config::RunConfig with_token_file(comm::Communicator& comm, const config::RunConfig& asked,
                                  const checkpoint::WorkFolder& work,
                                  const model::ModelDescription& model, report::Log& log) {
  config::RunConfig config = asked;
  if (work.borrows_measurement()) {
    if (config.calibration.tokens.empty()) config.calibration.tokens = work.calibration_rows();
    return config;
  }
  std::string file;
  comm::on_root(comm, [&] {
    const auto prepared = calibration::prepare_rows(asked, work, model.vocab_size);
    const std::string warning = model::position_warning(model, asked.calibration.length);
    if (!warning.empty()) log.line("start", "warning: " + warning);
    for (const std::string& note : prepared.notes) log.line("start", note);
    file = prepared.tokens.string();
  });
  config.calibration.tokens = comm::broadcast_text(comm, std::move(file));
  return config;
}

forecast::MemoryPlan memory_of(const config::RunConfig& config, const model::SourceModel& model,
                               int ranks) {
  forecast::MemoryPlan plan =
      forecast::plan_memory(model.description, model.layout, format_of(config), config, ranks);
  if (kernels::cuda_module_is_loaded()) plan.add_cuda_libraries();
  return plan;
}

void report_end(const waves::RunContext& context) {
  const std::int64_t peak = context.comm.max(report::peak_resident_bytes());
  context.log.line("end",
                   fmt::format("peak memory of a rank {}, {} in all", report::bytes_text(peak),
                               report::clock_text(context.log.elapsed() - context.begun_s)));
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

// Ranks other than root write into logs of their own, which root takes over as they grow.
void open_event_logs(comm::Communicator& comm, const checkpoint::WorkFolder& work,
                     const std::string& run, std::optional<report::EventLog>& events,
                     std::optional<report::EventCollector>& collector) {
  comm::on_root(comm, [&] {
    std::filesystem::remove_all(work.rank_events());  // of an earlier start
    if (comm.size() > 1) checkpoint::create_folders_durably(work.rank_events());
    open_event_log(work.events(), run, events);
  });
  comm::on_all(comm, [&] {
    if (!events) events.emplace(report::rank_event_log(work.rank_events(), comm.rank()), run);
  });
  if (comm.is_root() && comm.size() > 1) {
    collector.emplace(*events, work.rank_events(), comm.size());
  }
}

// What ended the run is told in any case, also where the log has no room for it.
void record_end(report::EventLog& events, ExitCode code) {
  try {
    events.write("run_end", "end", {{"exit_code", static_cast<int>(code)}});
  } catch (const Failure&) {
  }
}

void report_restart(const waves::RunContext& context) {
  if (context.events.restart() == 0) return;
  const char* job = std::getenv("SLURM_JOB_ID");
  context.log.line("start", fmt::format("=== restart {}{} ===", context.events.restart(),
                                        job != nullptr ? std::string(" of job ") + job : ""));
}

}  // namespace

JobRunner::JobRunner(comm::Communicator& launched, const RunArguments& arguments,
                     std::span<const Job> jobs)
    : arguments_(arguments),
      resume_(arguments.resume),
      comm_(launched, activity_),
      log_({.enabled = launched.is_root()}) {
  std::optional<double> limit;
  comm::on_all(comm_, [&] { limit = time_limit(arguments_); });
  const config::RunConfig& first = jobs.front().config;
  control_.emplace(
      comm_, control::RunControl::Options{static_cast<double>(first.checkpoint.every_s), limit});
  model_ = open_model(comm_, jobs);
  comm::on_all(comm_, [&] {
    for (const Job& job : jobs) {
      if (!job.config.calibration.tokens.empty()) open_tokens(job.config);
    }
  });
  backend_ =
      open_backend(comm_, device_kind(first.device.kind), first.device.threads, backend_reason_);
  forecast::MemoryPlan memory;  // of the job that takes most
  for (const Job& job : jobs) {
    const forecast::MemoryPlan plan = memory_of(job.config, *model_, comm_.size());
    if (plan.bytes() > memory.bytes()) memory = plan;
  }
  check_jobs(comm_, arguments_, {jobs, *model_, *backend_, memory.bytes()}, log_);
  device_link_ = waves::open_device_link(comm_, *backend_, no_link_);
  report_start(memory);
  faults::reach(faults::Point::inputs_opened);
}

void JobRunner::report_start(const forecast::MemoryPlan& memory) {
  const model::ModelDescription& model = model_->description;
  log_.line("start", fmt::format("{} {}: {} blocks, hidden {}, ffn {}, {} weights in them",
                                 model.family->name, model_->folder.path().string(), model.layers,
                                 model.hidden_size, model.intermediate_size,
                                 model_->layout.block_parameters()));
  comm::on_root(comm_, [&] {
    const std::string warning = model::tied_head_warning(*model_);
    if (!warning.empty()) log_.line("start", "warning: " + warning);
  });
  log_.line("start", fmt::format("{} rank(s), {} ({})", comm_.size(), backend_->description(),
                                 backend_reason_));
  if (device_link_ != nullptr) {
    log_.line("start", "ranks exchange Hessians from device to device (NCCL)");
  } else if (!backend_->device_identity().empty() && comm_.size() > 1) {
    log_.line("start", fmt::format("ranks exchange Hessians through host memory ({})", no_link_));
  }
  log_.line("start", fmt::format("memory per rank at most {}", report::bytes_text(memory.bytes())));
  for (const auto& term : memory.terms) {
    log_.line("start", fmt::format("  {:<42} {:>10}", term.what, report::bytes_text(term.bytes)));
  }
}

// Read whole once, however many jobs there are. Collective.
const std::vector<std::string>& JobRunner::file_hashes() {
  if (!file_hashes_) file_hashes_ = stages::hash_model(comm_, log_, model_->folder);
  return *file_hashes_;
}

void JobRunner::run(const Job& job) {
  const double begun = log_.elapsed();
  const checkpoint::WorkFolder work = work_folder_of(job.config);
  JobLocks locks;
  comm::on_root(comm_, [&] { locks.take(job.config, job.last == LastStage::quantize); });
  const config::RunConfig config =
      with_token_file(comm_, job.config, work, model_->description, log_);
  std::optional<formats::TokenStream> tokens;
  comm::on_all(comm_, [&] { tokens.emplace(open_tokens(config)); });
  const control::Watchdog watchdog(activity_, watchdog_options(comm_, work, arguments_, locks));
  const auto& hashes = file_hashes();
  const weights::WeightFormat& format = format_of(config);
  Fingerprints fingerprints =
      tie_work_folder(comm_, work, job.config, arguments_, std::exchange(resume_, "auto"),
                      [&] { return stages::fingerprint_run(config, *model_, format, hashes); });
  faults::reach(faults::Point::work_opened);

  std::optional<report::EventLog> events;
  std::optional<report::EventCollector> collector;
  open_event_logs(comm_, work, fingerprints.run, events, collector);
  const waves::RunContext context{
      {comm_, *control_, log_, *events, begun, collector ? &*collector : nullptr},
      {config, *model_, *tokens, work, std::move(fingerprints.run),
       std::move(fingerprints.hessians), slices_of(config), quantizer_settings(config.quantizer),
       format},
      {*backend_, device_link_.get()}};
  report_restart(context);
  context.events.write("run_start", "start",
                       {{"ranks", comm_.size()},
                        {"memory_bound_bytes", memory_of(config, *model_, comm_.size()).bytes()}});
  try {
    with_device_faults(comm_.rank(),
                       [&] { stages::run_pipeline(context, job.last == LastStage::measure); });
    if (collector) collector->collect();
    report_end(context);
  } catch (const Failure& failure) {
    record_end(*events, failure.code());
    throw;
  }
}

}  // namespace shardquant::commands
