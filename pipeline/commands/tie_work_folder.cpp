#include "pipeline/commands/tie_work_folder.hpp"

#include <cstdio>
#include <filesystem>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/generation.hpp"
#include "pipeline/config/settings_table.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/stages/fingerprint_run.hpp"

namespace shardquant::commands {

namespace {

// A folder that is not there yet has nothing to offer, which is no fault.
bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  const bool found = std::filesystem::exists(path, error);
  if (error) checkpoint::fail_reading(path, error.value());
  return found;
}

// What of a folder's state is borrowed must come from the same run; returns its fingerprint, which
// that state carries.
checkpoint::RunFingerprint match_borrowed(const std::filesystem::path& folder,
                                          const checkpoint::RunFingerprint& ours,
                                          const RunArguments& arguments) {
  const std::filesystem::path path = checkpoint::WorkFolder(folder).fingerprint();
  checkpoint::RunFingerprint theirs = checkpoint::load_fingerprint(path);
  checkpoint::require_match(path, ours, theirs,
                            arguments.accept_build_change ? stages::kBuildField : "");
  return theirs;
}

// Rows that are borrowed must be those that this job would take, which their hash alone cannot
// tell: text may have changed since. Where the files lie does not matter for tokens.
void require_same_rows(const checkpoint::WorkFolder& lender, const config::RunConfig& asked) {
  constexpr std::int64_t kMostBytes = std::int64_t{1} << 24;
  const std::filesystem::path path = lender.resolved_config();
  const config::RunConfig theirs = config::parse_run_config(
      checkpoint::read_whole(path, kMostBytes), path.string(), path.parent_path(), {});
  std::string list;
  for (const config::Setting& setting : config::settings_table()) {
    const bool is_left_out = setting.path == "evaluation.rows" && asked.evaluation.rows == 0;
    if (setting.section() != "calibration" && setting.section() != "evaluation") continue;
    if (setting.path == "calibration.tokens" || is_left_out) continue;
    const std::string our_value = config::value_text(setting, asked);
    const std::string their_value = config::value_text(setting, theirs);
    if (our_value == their_value) continue;
    list +=
        fmt::format("\n  {}: {} in this job, {} in that one", setting.path, our_value, their_value);
  }
  if (list.empty()) return;
  fail(ExitCode::bad_data,
       "{}: the job whose measurement is used (work.measured_in) has other settings:{}\nGo back to "
       "those, or measure anew in another work folder",
       path.string(), list);
}

// Ties the work folder to this run.
Fingerprints match_work_folder(const checkpoint::WorkFolder& work, const RunArguments& arguments,
                               const std::string& resume, checkpoint::RunFingerprint fingerprint) {
  const bool has_state = is_there(work.fingerprint());
  if (resume == "never" && has_state) {
    fail(ExitCode::cannot_create,
         "{}: holds the state of a run, and --resume never was given; name another work folder "
         "(work.dir) or move this one away",
         work.path().string());
  }
  if (resume == "require" && !has_state) {
    fail(ExitCode::no_input, "{}: holds no state to go on from, and --resume require was given",
         work.path().string());
  }
  if (work.borrows_measurement()) {
    fingerprint = match_borrowed(work.measured_in(), fingerprint, arguments);
  }
  const auto match = checkpoint::match_or_store_fingerprint(
      work.fingerprint(), fingerprint, arguments.accept_build_change ? stages::kBuildField : "");
  if (!match.set_aside.empty()) {
    fmt::print(stderr, "shardquant: warning: {}: damaged; kept as {}\n",
               work.fingerprint().string(), match.set_aside.filename().string());
  }
  checkpoint::RunFingerprint in_force = match.in_force;
  if (work.borrows_measurement() && in_force != fingerprint) {
    // Measured by another build since: what is borrowed carries its fingerprint.
    checkpoint::store_fingerprint(work.fingerprint(), fingerprint);
    in_force = fingerprint;
  }
  checkpoint::RunFingerprint hessians = stages::calibration_part(in_force);
  const checkpoint::WorkFolder lender(work.hessians_in());
  if (work.borrows_hessians() && is_there(lender.fingerprint())) {
    const auto theirs =
        stages::calibration_part(checkpoint::load_fingerprint(lender.fingerprint()));
    checkpoint::require_match(lender.fingerprint(), hessians, theirs,
                              arguments.accept_build_change ? stages::kBuildField : "");
    hessians = theirs;
  }
  return {in_force.hex(), hessians.hex()};
}

}  // namespace

checkpoint::WorkFolder work_folder_of(const config::RunConfig& config) {
  return checkpoint::WorkFolder(config.work.dir, config.work.measured_in, config.work.hessians_in);
}

Fingerprints tie_work_folder(comm::Communicator& comm, const checkpoint::WorkFolder& work,
                             const config::RunConfig& asked, const RunArguments& arguments,
                             const std::string& resume,
                             const std::function<checkpoint::RunFingerprint()>& fingerprint) {
  Fingerprints hashes;
  comm::on_root(comm, [&] {
    if (work.borrows_measurement()) {
      require_same_rows(checkpoint::WorkFolder(work.measured_in()), asked);
    }
    hashes = match_work_folder(work, arguments, resume, fingerprint());
    work.remove_temporaries();
    checkpoint::remove_uncommitted_generations(work.hidden_states());
    checkpoint::write_durably(work.resolved_config(), config::resolved_text(asked));
  });
  return {comm::broadcast_text(comm, std::move(hashes.run)),
          comm::broadcast_text(comm, std::move(hashes.hessians))};
}

}  // namespace shardquant::commands
