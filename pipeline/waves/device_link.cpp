#include "pipeline/waves/device_link.hpp"

#include <algorithm>
#include <fstream>
#include <thread>
#include <vector>

#include "kernels/api/kernel_error.hpp"
#include "kernels/make_transport.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::waves {

namespace {

constexpr std::chrono::seconds kTimeout{300};

// Tells this machine from all others, whatever containers call it.
std::string machine_identity() {
  std::string text;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), text);
  return text + " ";
}

// Why the ranks with these devices ("machine device", one each) cannot be linked; empty if they
// can.
std::string obstacle(std::vector<std::string> devices) {
  if (devices.size() < 2) return "one rank";
  for (const std::string& device : devices) {
    if (device.empty()) return "not every rank has a CUDA device";
  }
  std::sort(devices.begin(), devices.end());
  const auto twice = std::adjacent_find(devices.begin(), devices.end());
  return twice == devices.end() ? std::string()
                                : "two ranks share device " + twice->substr(twice->find(' ') + 1);
}

std::string as_text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

DeviceLink::DeviceLink(std::unique_ptr<kernels::DeviceTransport> transport, int rank,
                       std::chrono::milliseconds timeout)
    : transport_(std::move(transport)), rank_(rank), timeout_(timeout) {
  finish("connecting to the other ranks' devices");
}

void DeviceLink::send(kernels::ConstMatrixView matrix, int peer, const std::string& what) {
  transport_->start_send(matrix, peer);
  finish(fmt::format("sending the {} to rank {}", what, peer));
}

void DeviceLink::receive(kernels::MatrixView matrix, int peer, const std::string& what) {
  transport_->start_receive(matrix, peer);
  finish(fmt::format("waiting for the {} of rank {}", what, peer));
}

void DeviceLink::finish(const std::string& doing) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + timeout_;
  auto pause = std::chrono::microseconds(1);
  for (;;) {
    std::string error;
    const auto state = transport_->poll(error);
    if (state == kernels::DeviceTransport::State::done) return;
    if (state == kernels::DeviceTransport::State::failed) {
      transport_->abort();
      fail(ExitCode::unavailable, "rank {}, {}: {}", rank_, doing, error);
    }
    if (Clock::now() >= deadline) {
      transport_->abort();
      fail(ExitCode::unavailable,
           "rank {}, {}: not done after {} s; a rank is lost or stuck, or the network is down",
           rank_, doing, static_cast<double>(timeout_.count()) / 1000.0);
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, std::chrono::microseconds(1000));
  }
}

std::unique_ptr<DeviceLink> open_device_link(comm::Communicator& comm, kernels::Backend& backend,
                                             std::string& reason) {
  const std::string identity = backend.device_identity();
  const std::string device = identity.empty() ? identity : machine_identity() + identity;
  const auto all = comm.gather(std::as_bytes(std::span(device)));
  kernels::TransportId id{};
  if (comm.is_root()) {
    std::vector<std::string> devices;
    for (const auto& bytes : all) devices.push_back(as_text(bytes));
    reason = obstacle(std::move(devices));
    if (reason.empty()) kernels::make_transport_id(id, reason);
  }
  reason = comm::broadcast_text(comm, reason);
  if (!reason.empty()) return nullptr;
  comm.broadcast(std::span(id));
  std::unique_ptr<DeviceLink> link;
  comm::on_all(comm, [&] {
    try {
      link = std::make_unique<DeviceLink>(
          kernels::make_transport(backend, comm.rank(), comm.size(), id), comm.rank(), kTimeout);
    } catch (const kernels::DeviceError& error) {
      throw Failure(ExitCode::unavailable, error.what());
    }
  });
  return link;
}

}  // namespace shardquant::waves
