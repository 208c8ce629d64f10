#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace shardquant::checkpoint {

/// Where a run keeps its state. What it borrows from other work folders is read there and never
/// written, so that many runs may share it. Immutable; every rank may have one. Names of parts come
/// from model files: only plain file names of 200 bytes at most are accepted, else
/// Failure(bad_data).
class WorkFolder {
 public:
  /// The layout alone; nothing is read or created. measured_in: the folder that rows and
  /// measurements are borrowed from; hessians_in: that of the Hessians. Empty: `path` itself, the
  /// Hessians being where the measurements are.
  explicit WorkFolder(std::filesystem::path path, std::filesystem::path measured_in = {},
                      std::filesystem::path hessians_in = {});

  /// Creates the folder and its parts where they are missing.
  /// @throws Failure: cannot_create (parent missing, a file in its place, read-only file system),
  /// no_permission, io_error (disk full)
  static WorkFolder create(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  /// The folder with rows and layers' measurements; path() where nothing is borrowed.
  const std::filesystem::path& measured_in() const { return measured_in_; }
  bool borrows_measurement() const { return measured_in_ != path_; }
  /// The folder with Hessians.
  const std::filesystem::path& hessians_in() const { return hessians_in_; }
  bool borrows_hessians() const { return hessians_in_ != path_; }

  std::filesystem::path resolved_config() const { return path_ / "resolved.yaml"; }
  std::filesystem::path fingerprint() const { return path_ / "fingerprint.txt"; }
  std::filesystem::path events() const { return path_ / "events.jsonl"; }
  std::filesystem::path measurement() const { return path_ / "measurement.json"; }
  std::filesystem::path plan() const { return path_ / "plan.json"; }
  std::filesystem::path report() const { return path_ / "report.json"; }
  std::filesystem::path report_page() const { return path_ / "report.html"; }
  /// Folder of the event logs of ranks other than 0, which are taken over into events().
  std::filesystem::path rank_events() const { return path_ / "rank_events"; }
  /// Folder of a copy of the report of every output made here.
  std::filesystem::path kept_reports() const { return path_ / "reports"; }
  /// Rows that were packed from text or other sources; int32, [rows, calibration.length].
  std::filesystem::path calibration_rows() const { return measured_in_ / "calibration_rows.i32"; }
  /// Rows that calibration does not see, of the same form.
  std::filesystem::path validation_rows() const { return measured_in_ / "validation_rows.i32"; }
  std::filesystem::path lock() const { return path_ / "lock"; }
  /// Folder of the ranks' heartbeats.
  std::filesystem::path heartbeats() const { return path_ / "heartbeats"; }
  /// Folder of the generations of hidden states.
  std::filesystem::path hidden_states() const { return path_ / "hidden"; }
  /// State files of one Hessian group or linear layer, in borrowed folders where there are such.
  std::filesystem::path hessian(std::string_view name) const;
  std::filesystem::path measurement(std::string_view name) const;
  /// What is known of the sensitivity of one layer or part, in the borrowed folder where there is
  /// one.
  std::filesystem::path sensitivity(std::string_view name) const;
  /// One layer's weight as it is tried for that; and hidden states of the model with it.
  std::filesystem::path trial_weight(std::string_view name) const;
  std::filesystem::path copy(std::string_view name) const;
  std::filesystem::path quantized(std::string_view name) const;
  /// State files of the evaluation: one per batch of rows.
  std::filesystem::path evaluation(std::string_view name) const;

  /// Deletes all files NAME.tmp.PID and returns them, sorted. @pre the lock of the folder is held
  /// and no rank of this run has written: then nobody needs them any more.
  /// @throws Failure: no_permission, io_error
  std::vector<std::filesystem::path> remove_temporaries() const;

  /// Bytes that this user may still write to the folder's file system. @throws Failure(io_error)
  std::int64_t free_bytes() const;

 private:
  std::filesystem::path path_;
  std::filesystem::path measured_in_;
  std::filesystem::path hessians_in_;
};

}  // namespace shardquant::checkpoint
