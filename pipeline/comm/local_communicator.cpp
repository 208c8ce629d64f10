#include "pipeline/comm/local_communicator.hpp"

#include <cstdio>
#include <cstdlib>

namespace shardquant::comm {

void LocalCommunicator::send(std::span<const std::byte>, int peer) {
  fail(ExitCode::internal, "send to rank {} in a run of one rank", peer);
}

void LocalCommunicator::receive(std::span<std::byte>, int peer) {
  fail(ExitCode::internal, "receive from rank {} in a run of one rank", peer);
}

std::vector<std::vector<std::byte>> LocalCommunicator::gather(std::span<const std::byte> data) {
  return {std::vector<std::byte>(data.begin(), data.end())};
}

void LocalCommunicator::abort(int code) {
  std::fflush(nullptr);
  std::_Exit(code);
}

}  // namespace shardquant::comm
