#include <cstdio>
#include <exception>
#include <string>

#include "kernels/prepare_process.hpp"
#include "pipeline/comm/session.hpp"
#include "pipeline/commands/command_line.hpp"
#include "pipeline/failure.hpp"

namespace {

using shardquant::ExitCode;
using shardquant::Failure;
namespace comm = shardquant::comm;

void print_error(const std::string& text) {
  if (!text.empty()) std::fprintf(stderr, "shardquant: error: %s\n", text.c_str());
}

// All ranks know of a shared failure and end together; any other one ends the rest at once.
int run_session(comm::Session& session, int argc, char** argv) {
  auto code = ExitCode::internal;
  try {
    const int result = shardquant::commands::run_command_line(session.comm(), argc, argv);
    session.finish();
    return result;
  } catch (const comm::SharedFailure& failure) {
    print_error(failure.what());
    session.finish();
    return static_cast<int>(failure.code());
  } catch (const Failure& failure) {
    print_error(failure.what());
    code = failure.code();
  } catch (const std::exception& error) {
    print_error(std::string("internal: ") + error.what());
  }
  session.comm().abort(static_cast<int>(code));
  return static_cast<int>(code);  // for GCC, which does not trust a virtual [[noreturn]]
}

}  // namespace

int main(int argc, char** argv) {
  shardquant::kernels::prefer_fast_blas(argv);
  try {
    comm::Session session;
    return run_session(session, argc, argv);
  } catch (const Failure& failure) {
    print_error(failure.what());
    return static_cast<int>(failure.code());
  }
}
