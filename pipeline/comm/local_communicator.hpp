#pragma once

#include "pipeline/comm/communicator.hpp"

namespace shardquant::comm {

/// The one rank of a run without MPI.
class LocalCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void barrier() override {}
  void broadcast(std::span<std::byte>) override {}
  /// There is no peer. @throws Failure(internal)
  void send(std::span<const std::byte> data, int peer) override;
  void receive(std::span<std::byte> data, int peer) override;
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> data) override;
  std::int64_t max(std::int64_t value) override { return value; }
  void raise_notice() override { noticed_ = true; }
  bool notice_raised() override { return noticed_; }
  [[noreturn]] void abort(int code) override;

 private:
  bool noticed_ = false;
};

}  // namespace shardquant::comm
