#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace shardquant::checkpoint {

/// Where a run keeps its state. Immutable; every rank may have one. Names of parts come from model
/// files: only plain file names of 200 bytes at most are accepted, else Failure(bad_data).
class WorkFolder {
 public:
  /// The layout alone; nothing is read or created.
  explicit WorkFolder(std::filesystem::path path);

  /// Creates the folder and its parts where they are missing.
  /// @throws Failure: cannot_create (parent missing, a file in its place, read-only file system),
  /// no_permission, io_error (disk full)
  static WorkFolder create(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path resolved_config() const { return path_ / "resolved.yaml"; }
  std::filesystem::path fingerprint() const { return path_ / "fingerprint.txt"; }
  std::filesystem::path events() const { return path_ / "events.jsonl"; }
  std::filesystem::path measurement() const { return path_ / "measurement.json"; }
  std::filesystem::path plan() const { return path_ / "plan.json"; }
  /// Rows that calibration does not see; int32, [rows, calibration.length].
  std::filesystem::path validation_rows() const { return path_ / "validation_rows.i32"; }
  std::filesystem::path lock() const { return path_ / "lock"; }
  /// Folder of the ranks' heartbeats.
  std::filesystem::path heartbeats() const { return path_ / "heartbeats"; }
  /// Folder of the generations of hidden states.
  std::filesystem::path hidden_states() const { return path_ / "hidden"; }
  /// State files of one Hessian group or linear layer.
  std::filesystem::path hessian(std::string_view name) const;
  std::filesystem::path measurement(std::string_view name) const;
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
};

}  // namespace shardquant::checkpoint
