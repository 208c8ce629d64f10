#include "pipeline/checkpoint/run_lock.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::checkpoint {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLongestLock = 4096;
constexpr double kStaleSeconds = 600.0;
constexpr std::string_view kFirstWord = "shardquant-lock-1";

// Field 22 of /proc/PID/stat; -1 where there is no such process, or only its exit code waits to be
// fetched.
long long process_start(long pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  if (!std::getline(file, text)) return -1;
  // The second field is the program's name in parentheses and may hold anything.
  std::istringstream rest(text.substr(text.rfind(')') + 1));
  std::string state, skipped;
  rest >> state;
  if (state == "Z" || state == "X") return -1;
  for (int field = 4; field < 22; ++field) rest >> skipped;
  long long start = -1;
  rest >> start;
  return start;
}

std::string variable(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : fallback;
}

bool parse(const std::string& text, RunLock::Owner& owner) {
  std::istringstream in(text);
  std::string word;
  in >> word >> owner.host >> owner.pid >> owner.process_start >> owner.job >> owner.restart;
  return in && word == kFirstWord;
}

// Seconds since the file was touched, by the clock of its file system: that of a file made now.
double untouched_seconds(const fs::path& path) {
  const fs::path probe = temporary_path(path).string() + "0";
  const Descriptor now(::open(probe.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (now.get() < 0) fail_creating(probe, errno);
  struct stat touched {
  }, made{};
  const bool known = ::stat(path.c_str(), &touched) == 0 && ::fstat(now.get(), &made) == 0;
  ::unlink(probe.c_str());
  if (!known) return 0.0;
  return static_cast<double>(made.st_mtim.tv_sec - touched.st_mtim.tv_sec);
}

// Why the owner cannot be at work any more; empty where it may be.
std::string why_gone(const fs::path& path, const std::string& text, const RunLock::Owner& self) {
  RunLock::Owner owner;
  const double age = untouched_seconds(path);
  if (age >= kStaleSeconds) return fmt::format("not touched for {:.0f} s", age);
  if (!parse(text, owner)) return {};
  if (owner.host == self.host && process_start(owner.pid) != owner.process_start) {
    return "its process is gone";
  }
  if (owner.job != "-" && owner.job == self.job && owner.restart < self.restart) {
    return "this is a restart of the same job";
  }
  return {};
}

}  // namespace

RunLock::Owner RunLock::Owner::self() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  Owner owner;
  owner.host = host[0] != '\0' ? host.data() : "?";
  owner.pid = ::getpid();
  owner.process_start = checkpoint::process_start(owner.pid);
  owner.job = variable("SLURM_JOB_ID", "-");
  owner.restart = std::atol(variable("SLURM_RESTART_COUNT", "0").c_str());
  return owner;
}

std::string RunLock::Owner::text() const {
  return fmt::format("{} {} {} {} {} {}\n", kFirstWord, host, pid, process_start, job, restart);
}

RunLock::RunLock(fs::path path, Owner owner) : path_(std::move(path)), owner_(std::move(owner)) {
  if (create()) return;
  std::optional<std::string> seen;
  try {
    seen = read_whole(path_, kLongestLock);
  } catch (const Failure& failure) {
    if (failure.code() != ExitCode::no_input) throw;  // else released this moment
  }
  if (seen) take_from(*seen);
  if (!create()) {
    fail(ExitCode::cannot_create, "{}: taken by another job this moment", path_.string());
  }
}

bool RunLock::create() {
  // The lock gets its name with its owner in it and on the disk: who dies or loses power on the way
  // leaves no lock that nobody can be asked about.
  const fs::path made = write_temporary(path_, owner_.text());
  int error = ::link(made.c_str(), path_.c_str()) == 0 ? 0 : errno;
  if (error != 0 && error != EEXIST) {  // not every file system has links
    const bool renamed =
        ::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) == 0;
    error = renamed ? 0 : errno;
  }
  ::unlink(made.c_str());
  if (error == EEXIST) return false;
  if (error != 0) fail_creating(path_, error);
  return true;
}

void RunLock::take_from(const std::string& seen) {
  takeover_ = why_gone(path_, seen, owner_);
  Owner other;
  const bool known = parse(seen, other);
  const std::string who = known ? fmt::format("process {} on {}{}", other.pid, other.host,
                                              other.job == "-" ? "" : ", job " + other.job)
                                : "an unknown process";
  if (takeover_.empty()) {
    fail(ExitCode::cannot_create,
         "{}: another job works in this folder ({}). Wait until it ends, or name another folder; "
         "if it is dead, the lock may be taken ten minutes after its last sign of life, or delete "
         "this file",
         path_.string(), who);
  }
  takeover_ = fmt::format("lock of {} taken over: {}", who, takeover_);
  // Of several that come to this at once one wins the renaming; that it renamed what it had seen,
  // and not the new lock of a quicker one, is looked at afterwards.
  const fs::path aside = temporary_path(path_);
  if (::rename(path_.c_str(), aside.c_str()) != 0) {
    if (errno == ENOENT) return;
    fail_creating(path_, errno);
  }
  const bool right = read_whole(aside, kLongestLock) == seen;
  if (!right && ::link(aside.c_str(), path_.c_str()) != 0 && errno != EEXIST) {
    fail_creating(path_, errno);
  }
  ::unlink(aside.c_str());
  if (!right) fail(ExitCode::cannot_create, "{}: taken by another job this moment", path_.string());
}

RunLock::~RunLock() {
  if (touch().empty()) ::unlink(path_.c_str());
}

std::string RunLock::touch() const {
  try {
    if (read_whole(path_, kLongestLock) != owner_.text()) {
      return path_.string() + ": another job has taken this lock";
    }
    ::utimensat(AT_FDCWD, path_.c_str(), nullptr, 0);
    return {};
  } catch (const Failure& failure) {
    return failure.what();
  }
}

}  // namespace shardquant::checkpoint
