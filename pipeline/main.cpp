#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "kernels/prepare_process.hpp"
#include "pipeline/comm/launch_environment.hpp"
#include "pipeline/comm/local_communicator.hpp"
#include "pipeline/comm/session.hpp"
#include "pipeline/commands/command_line.hpp"
#include "pipeline/commands/standard_output.hpp"
#include "pipeline/control/stop_signals.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"

namespace {

using shardquant::ExitCode;
using shardquant::Failure;
namespace comm = shardquant::comm;
namespace commands = shardquant::commands;

void print_failure(ExitCode code, const std::string& text) {
  if (text.empty()) return;
  const char* kind = code == ExitCode::try_again ? "" : "error: ";
  std::fprintf(stderr, "shardquant: %s%s\n", kind, text.c_str());
}

// All ranks know of a shared failure and end together; any other one ends the rest at once.
int run_session(comm::Session& session, const commands::Call& call) {
  auto code = ExitCode::internal;
  try {
    shardquant::faults::set_rank(session.comm().rank());
    shardquant::faults::reach(shardquant::faults::Point::session_started);
    call.action(session.comm());
    commands::require_output_written();
    session.finish();
    return 0;
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

// Of several processes that a launcher started the first does what one is to do.
int run_alone(const commands::Call& call, bool is_first) {
  if (call.action && is_first) {
    comm::LocalCommunicator alone;
    call.action(alone);
  }
  commands::require_output_written();
  return call.exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  commands::guard_standard_streams();
  shardquant::control::hold_stop_signals();
  shardquant::kernels::prefer_fast_blas(argv);
  shardquant::control::catch_stop_signals();
  try {
    const auto launch =
        comm::LaunchEnvironment::read([](const char* variable) { return std::getenv(variable); });
    const bool is_first = launch.rank == 0;
    const commands::Call call = commands::parse_command_line(argc, argv, is_first);
    if (!call.on_all_ranks) return run_alone(call, is_first);
    comm::Session session;
    return run_session(session, call);
  } catch (const Failure& failure) {
    print_failure(failure.code(), failure.what());
    return static_cast<int>(failure.code());
  } catch (const std::exception& error) {
    print_failure(ExitCode::internal, std::string("internal: ") + error.what());
    return static_cast<int>(ExitCode::internal);
  }
}
