#pragma once

#include <chrono>
#include <cstdlib>

#include "pipeline/comm/activity.hpp"
#include "pipeline/comm/communicator.hpp"

namespace shardquant::comm {

/// Another communicator whose calls are told to an Activity and timed. Both must outlive it.
class ObservedCommunicator final : public Communicator {
 public:
  ObservedCommunicator(Communicator& inner, Activity& activity)
      : inner_(inner), activity_(activity) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  void barrier() override {
    const Call call(*this, "barrier");
    inner_.barrier();
  }
  void broadcast(std::span<std::byte> data) override {
    const Call call(*this, "broadcast");
    inner_.broadcast(data);
  }
  void send(std::span<const std::byte> data, int peer) override {
    const Call call(*this, "send");
    inner_.send(data, peer);
  }
  void receive(std::span<std::byte> data, int peer) override {
    const Call call(*this, "receive");
    inner_.receive(data, peer);
  }
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> data) override {
    const Call call(*this, "gather");
    return inner_.gather(data);
  }
  std::int64_t max(std::int64_t value) override {
    const Call call(*this, "max");
    return inner_.max(value);
  }
  void raise_notice() override { inner_.raise_notice(); }
  bool notice_raised() override { return inner_.notice_raised(); }
  double waited_seconds() const override { return waited_; }
  [[noreturn]] void abort(int code) override {
    inner_.abort(code);
    std::abort();  // for GCC, which does not trust a virtual [[noreturn]]
  }

 private:
  using Time = std::chrono::steady_clock::time_point;

  struct Call {
    Call(ObservedCommunicator& owner, const char* name)
        : owner_(owner), begin_(std::chrono::steady_clock::now()) {
      owner_.activity_.call = name;
      owner_.activity_.calls += 1;
      owner_.activity_.waiting = true;
    }
    ~Call() {
      owner_.activity_.waiting = false;
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin_;
      owner_.waited_ += took.count();
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    ObservedCommunicator& owner_;
    Time begin_;
  };

  Communicator& inner_;
  Activity& activity_;
  double waited_ = 0.0;
};

}  // namespace shardquant::comm
