#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "kernels/api/device_transport.hpp"

namespace shardquant::tests {

/// Carries matrices between threads that play ranks, for back ends whose memory is the host's.
class Wire {
 public:
  using Message = std::vector<float>;

  void put(int from, int to, Message message) {
    const std::scoped_lock lock(mutex_);
    messages_[{from, to}].push_back(std::move(message));
  }
  bool take(int from, int to, Message& message) {
    const std::scoped_lock lock(mutex_);
    auto& queue = messages_[{from, to}];
    if (queue.empty()) return false;
    message = std::move(queue.front());
    queue.pop_front();
    return true;
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<int, int>, std::deque<Message>> messages_;
};

/// One rank's end of a Wire.
class WireTransport final : public kernels::DeviceTransport {
 public:
  WireTransport(std::shared_ptr<Wire> wire, int rank) : wire_(std::move(wire)), rank_(rank) {}

  State poll(std::string& error) override {
    if (target_.data == nullptr) return State::done;
    Wire::Message message;
    if (!wire_->take(peer_, rank_, message)) return State::working;
    if (static_cast<std::int64_t>(message.size()) != target_.size()) {
      error = "sizes of sender and receiver differ";
      return State::failed;
    }
    std::copy(message.begin(), message.end(), target_.data);
    target_ = {};
    return State::done;
  }
  void start_send(kernels::ConstMatrixView matrix, int peer) override {
    wire_->put(rank_, peer, {matrix.data, matrix.data + matrix.size()});
  }
  void start_receive(kernels::MatrixView matrix, int peer) override {
    target_ = matrix;
    peer_ = peer;
  }
  void abort() noexcept override {}

 private:
  std::shared_ptr<Wire> wire_;
  int rank_;
  int peer_ = 0;
  kernels::MatrixView target_;
};

}  // namespace shardquant::tests
