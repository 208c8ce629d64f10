#pragma once

#include <cstdlib>

#include "pipeline/comm/activity.hpp"
#include "pipeline/comm/communicator.hpp"

namespace shardquant::comm {

/// Another communicator whose calls are told to an Activity. Both must outlive it.
class ObservedCommunicator final : public Communicator {
 public:
  ObservedCommunicator(Communicator& inner, Activity& activity)
      : inner_(inner), activity_(activity) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  void barrier() override {
    const Call call(activity_, "barrier");
    inner_.barrier();
  }
  void broadcast(std::span<std::byte> data) override {
    const Call call(activity_, "broadcast");
    inner_.broadcast(data);
  }
  void send(std::span<const std::byte> data, int peer) override {
    const Call call(activity_, "send");
    inner_.send(data, peer);
  }
  void receive(std::span<std::byte> data, int peer) override {
    const Call call(activity_, "receive");
    inner_.receive(data, peer);
  }
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> data) override {
    const Call call(activity_, "gather");
    return inner_.gather(data);
  }
  std::int64_t max(std::int64_t value) override {
    const Call call(activity_, "max");
    return inner_.max(value);
  }
  void raise_notice() override { inner_.raise_notice(); }
  bool notice_raised() override { return inner_.notice_raised(); }
  [[noreturn]] void abort(int code) override {
    inner_.abort(code);
    std::abort();  // for GCC, which does not trust a virtual [[noreturn]]
  }

 private:
  struct Call {
    Call(Activity& activity, const char* name) : activity_(activity) {
      activity_.call = name;
      activity_.calls += 1;
      activity_.waiting = true;
    }
    ~Call() { activity_.waiting = false; }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    Activity& activity_;
  };

  Communicator& inner_;
  Activity& activity_;
};

}  // namespace shardquant::comm
