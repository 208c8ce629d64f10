#include "pipeline/commands/standard_output.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "pipeline/failure.hpp"

namespace shardquant::commands {

void guard_standard_streams() {
  // Opened against the stream's direction: every use of it fails, as if it were closed.
  if (::fcntl(STDIN_FILENO, F_GETFD) < 0) ::open("/dev/null", O_WRONLY);
  if (::fcntl(STDOUT_FILENO, F_GETFD) < 0) ::open("/dev/null", O_RDONLY);
  if (::fcntl(STDERR_FILENO, F_GETFD) < 0) ::open("/dev/null", O_RDONLY);
  ::signal(SIGPIPE, SIG_IGN);
}

void require_output_written() {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  if (flushed && std::ferror(stdout) == 0) return;
  const char* reason = flushed || errno == 0 ? "an earlier write failed" : std::strerror(errno);
  fail(ExitCode::io_error, "standard output: not all of the result could be written: {}", reason);
}

}  // namespace shardquant::commands
