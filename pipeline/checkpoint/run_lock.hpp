#pragma once

#include <filesystem>
#include <string>

namespace shardquant::checkpoint {

/// Keeps a second job out of a folder: a file with host, process and job of its owner, touched at
/// every beat. Held by root alone. It counts as left behind where its process is gone from this
/// machine, where this is a restart of the same Slurm job, and where nobody touched it for ten
/// minutes. Works on file systems without locks.
class RunLock {
 public:
  /// Who holds a lock, or wants to.
  struct Owner {
    std::string host;
    long pid = 0;
    long long process_start = 0;  ///< of /proc/PID/stat, since process numbers are used again
    std::string job;              ///< Slurm's number, or "-"
    long restart = 0;             ///< of that job

    /// This process.
    static Owner self();
    std::string text() const;
    friend bool operator==(const Owner&, const Owner&) = default;
  };

  /// Takes the lock, if need be from an owner that is gone; `takeover` tells of that, else empty.
  /// @throws Failure: cannot_create naming the owner and what to do where another job holds it;
  /// no_permission, io_error
  explicit RunLock(std::filesystem::path path, Owner owner = Owner::self());
  /// Removes the file where it is still this owner's.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  const std::string& takeover() const { return takeover_; }

  /// Shows that the owner lives. Returns what is wrong where the file is another's by now, else an
  /// empty text. May be called from another thread.
  std::string touch() const;

 private:
  bool create();
  void take_from(const std::string& seen);

  std::filesystem::path path_;
  Owner owner_;
  std::string takeover_;
};

}  // namespace shardquant::checkpoint
