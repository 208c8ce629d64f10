#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "kernels/api/device_transport.hpp"

namespace shardquant::tests {

/// What a fake transport does with the transfer that it is told to spoil.
enum class Fault { none, delay, error, lost_peer };

/// Stands in for NCCL: moves nothing, and behaves as it does when a transfer is late, fails or
/// waits for a peer that is gone.
class FakeTransport final : public kernels::DeviceTransport {
 public:
  /// What a test looks at after the transport is gone.
  struct Record {
    std::atomic<int> polls{0};
    std::atomic<int> transfers{0};
    std::atomic<bool> aborted{false};
  };

  /// spoiled: number of the transfer that `fault` strikes; 0 is the connecting.
  FakeTransport(Fault fault, int spoiled, std::shared_ptr<Record> record)
      : fault_(fault), spoiled_(spoiled), record_(std::move(record)) {}

  State poll(std::string& error) override {
    ++record_->polls;
    if (record_->transfers != spoiled_) return State::done;
    switch (fault_) {
      case Fault::none:
        return State::done;
      case Fault::delay:
        return ++late_ < kPollsLate ? State::working : State::done;
      case Fault::error:
        if (++late_ < kPollsLate) return State::working;  // errors come later, too
        error = "NCCL: remote process exited or there was a network error";
        return State::failed;
      case Fault::lost_peer:
        return State::working;
    }
    return State::failed;
  }
  void start_send(kernels::ConstMatrixView, int) override { ++record_->transfers; }
  void start_receive(kernels::MatrixView, int) override { ++record_->transfers; }
  void abort() noexcept override { record_->aborted = true; }

 private:
  static constexpr int kPollsLate = 20;
  Fault fault_;
  int spoiled_;
  int late_ = 0;
  std::shared_ptr<Record> record_;
};

}  // namespace shardquant::tests
