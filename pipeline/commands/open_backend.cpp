#include "pipeline/commands/open_backend.hpp"

#include <cstdlib>

#include "kernels/api/kernel_error.hpp"
#include "pipeline/comm/launch_environment.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::commands {

std::unique_ptr<kernels::Backend> open_backend(comm::Communicator& comm, kernels::DeviceKind kind,
                                               std::int64_t threads, std::string& reason) {
  const auto launch =
      comm::LaunchEnvironment::read([](const char* name) { return std::getenv(name); });
  std::unique_ptr<kernels::Backend> backend;
  comm::on_all(comm, [&] {
    try {
      backend = kernels::make_backend(kind, static_cast<int>(threads), reason,
                                      static_cast<int>(launch.local_rank));
    } catch (const kernels::BackendUnavailable& error) {
      throw Failure(ExitCode::unavailable, error.what());
    }
  });
  return backend;
}

}  // namespace shardquant::commands
