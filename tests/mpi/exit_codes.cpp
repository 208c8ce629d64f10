#include <cstdio>
#include <string>

#include "pipeline/comm/session.hpp"

// Ends in the way its argument says, as the program's main would: the test looks at the launcher's
// exit code and counts the messages.
int main(int argc, char** argv) {
  using namespace shardquant;
  const std::string way = argc > 1 ? argv[1] : "";
  try {
    comm::Session session;
    auto& comm = session.comm();
    const bool last = comm.rank() == comm.size() - 1;
    try {
      if (way == "shared") {
        comm::on_all(comm, [&] {
          if (last) fail(ExitCode::bad_data, "the fault");
        });
      }
      if (way == "alone" && last) fail(ExitCode::io_error, "the fault");
      comm.barrier();
      std::fprintf(stderr, "reached the end\n");
    } catch (const comm::SharedFailure& failure) {
      if (*failure.what() != '\0') std::fprintf(stderr, "message: %s\n", failure.what());
      session.finish();
      return static_cast<int>(failure.code());
    } catch (const Failure& failure) {
      std::fprintf(stderr, "message: %s\n", failure.what());
      comm.abort(static_cast<int>(failure.code()));
    }
    session.finish();
    return 0;
  } catch (const Failure& failure) {
    std::fprintf(stderr, "message: %s\n", failure.what());
    return static_cast<int>(failure.code());
  }
}
