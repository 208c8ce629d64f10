#include "pipeline/commands/tie_work_folder.hpp"

#include <cstdio>
#include <filesystem>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/generation.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/stages/fingerprint_run.hpp"

namespace shardquant::commands {

namespace {

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

// Ties the work folder to this run.
Fingerprints match_work_folder(const checkpoint::WorkFolder& work, const RunArguments& arguments,
                               checkpoint::RunFingerprint fingerprint) {
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
  if (work.borrows_measurement()) {
    fingerprint = match_borrowed(work.measured_in(), fingerprint, arguments);
  }
  const auto match = checkpoint::match_or_store_fingerprint(
      work.fingerprint(), fingerprint, arguments.accept_build_change ? stages::kBuildField : "");
  if (!match.set_aside.empty()) {
    fmt::print(stderr, "shardquant: warning: {}: damaged; kept as {}\n",
               work.fingerprint().string(), match.set_aside.filename().string());
  }
  checkpoint::RunFingerprint hessians = stages::calibration_part(match.in_force);
  // A folder that is not there yet has no Hessians to offer, which is no fault.
  const checkpoint::WorkFolder lender(work.hessians_in());
  if (work.borrows_hessians() && std::filesystem::exists(lender.fingerprint())) {
    const auto theirs =
        stages::calibration_part(checkpoint::load_fingerprint(lender.fingerprint()));
    checkpoint::require_match(lender.fingerprint(), hessians, theirs,
                              arguments.accept_build_change ? stages::kBuildField : "");
    hessians = theirs;
  }
  return {match.in_force.hex(), hessians.hex()};
}

}  // namespace

checkpoint::WorkFolder work_folder_of(const config::RunConfig& config) {
  return checkpoint::WorkFolder(config.work.dir, config.work.measured_in, config.work.hessians_in);
}

Fingerprints tie_work_folder(comm::Communicator& comm, const checkpoint::WorkFolder& work,
                             const config::RunConfig& asked, const RunArguments& arguments,
                             const std::function<checkpoint::RunFingerprint()>& fingerprint) {
  Fingerprints hashes;
  comm::on_root(comm, [&] {
    hashes = match_work_folder(work, arguments, fingerprint());
    work.remove_temporaries();
    checkpoint::remove_uncommitted_generations(work.hidden_states());
    checkpoint::write_durably(work.resolved_config(), config::resolved_text(asked));
  });
  return {comm::broadcast_text(comm, std::move(hashes.run)),
          comm::broadcast_text(comm, std::move(hashes.hessians))};
}

}  // namespace shardquant::commands
