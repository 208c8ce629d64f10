#pragma once

#include "pipeline/comm/communicator.hpp"

namespace shardquant::comm {

/// The ranks of MPI_COMM_WORLD. MPI must be initialized and stay so; see start_session.
class MpiCommunicator final : public Communicator {
 public:
  /// Messages are split into pieces of at most `piece_bytes` (MPI counts are 32 bit).
  /// @throws Failure(unavailable)
  explicit MpiCommunicator(std::int64_t piece_bytes = std::int64_t{1} << 30);

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void barrier() override;
  void broadcast(std::span<std::byte> data) override;
  void send(std::span<const std::byte> data, int peer) override;
  void receive(std::span<std::byte> data, int peer) override;
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> data) override;
  std::int64_t max(std::int64_t value) override;
  void raise_notice() override;
  bool notice_raised() override;
  [[noreturn]] void abort(int code) override;

 private:
  void send_notices();

  std::int64_t piece_bytes_;
  int rank_ = 0;
  int size_ = 1;
  bool noticed_ = false;
};

}  // namespace shardquant::comm
