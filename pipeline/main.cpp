#include <cstdio>
#include <exception>
#include <string>

#include "kernels/prepare_process.hpp"
#include "pipeline/comm/session.hpp"
#include "pipeline/commands/command_line.hpp"
#include "pipeline/control/stop_signals.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"

namespace {

using shardquant::ExitCode;
using shardquant::Failure;
namespace comm = shardquant::comm;

void print_failure(ExitCode code, const std::string& text) {
  if (text.empty()) return;
  const char* kind = code == ExitCode::try_again ? "" : "error: ";
  std::fprintf(stderr, "shardquant: %s%s\n", kind, text.c_str());
}

// All ranks know of a shared failure and end together; any other one ends the rest at once.
int run_session(comm::Session& session, int argc, char** argv) {
  auto code = ExitCode::internal;
  try {
    shardquant::faults::set_rank(session.comm().rank());
    shardquant::faults::reach(shardquant::faults::Point::session_started);
    const int result = shardquant::commands::run_command_line(session.comm(), argc, argv);
    session.finish();
    return result;
  } catch (const comm::SharedFailure& failure) {
    print_failure(failure.code(), failure.what());
    session.finish();
    return static_cast<int>(failure.code());
  } catch (const Failure& failure) {
    print_failure(failure.code(), failure.what());
    code = failure.code();
  } catch (const std::exception& error) {
    print_failure(code, std::string("internal: ") + error.what());
  }
  session.comm().abort(static_cast<int>(code));
  return static_cast<int>(code);  // for GCC, which does not trust a virtual [[noreturn]]
}

}  // namespace

int main(int argc, char** argv) {
  shardquant::control::hold_stop_signals();
  shardquant::kernels::prefer_fast_blas(argv);
  shardquant::control::catch_stop_signals();
  try {
    comm::Session session;
    return run_session(session, argc, argv);
  } catch (const Failure& failure) {
    print_failure(failure.code(), failure.what());
    return static_cast<int>(failure.code());
  }
}
