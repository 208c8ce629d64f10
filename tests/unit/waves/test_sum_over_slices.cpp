#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>

#include "kernels/make_backend.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/waves/sum_over_slices.hpp"
#include "tests/support/wire_transport.hpp"

namespace shardquant::waves {
namespace {

using namespace std::chrono_literals;

// A rank that can do nothing but say which it is: with a link, nothing goes through it.
class SilentCommunicator final : public comm::Communicator {
 public:
  SilentCommunicator(int rank, int size) : rank_(rank), size_(size) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void barrier() override { refuse(); }
  void broadcast(std::span<std::byte>) override { refuse(); }
  void send(std::span<const std::byte>, int) override { refuse(); }
  void receive(std::span<std::byte>, int) override { refuse(); }
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte>) override { refuse(); }
  std::int64_t max(std::int64_t) override { refuse(); }
  void raise_notice() override {}
  bool notice_raised() override { return false; }
  [[noreturn]] void abort(int) override { refuse(); }

 private:
  [[noreturn]] static void refuse() { fail(ExitCode::internal, "through host memory"); }
  int rank_;
  int size_;
};

std::vector<float> partial_of(std::int64_t slice, std::int64_t inputs) {
  std::mt19937 random(static_cast<unsigned>(slice + 1));
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(inputs * inputs));
  for (float& value : values) value = normal(random);
  return values;
}

TEST(SumOverSlices, FromDeviceToDeviceTheBytesAreThoseOfAddingInSliceOrder) {
  constexpr int kRanks = 3;
  constexpr std::int64_t kInputs = 2200;  // more than one piece of 16 MiB
  const Slices slices{20, 4, 8};          // 5 slices: in the second round rank 2 has none
  const int owner = 1;
  const auto wire = std::make_shared<tests::Wire>();
  PackedHessian sum(kInputs);
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < kRanks; ++rank) {
    ranks.emplace_back([&, rank] {
      std::string reason;
      const auto backend = kernels::make_backend(kernels::DeviceKind::cpu, 1, reason);
      SilentCommunicator comm(rank, kRanks);
      DeviceLink link(std::make_unique<tests::WireTransport>(wire, rank), rank, 60s);
      PackedHessian unused;
      kernels::Matrix partial = backend->allocate(kInputs, kInputs);
      for (std::int64_t round = 0; round < slices.rounds(kRanks); ++round) {
        const std::int64_t slice = round * kRanks + rank;
        const bool has_slice = slice < slices.count();
        if (has_slice) backend->upload(partial_of(slice, kInputs), partial);
        add_round_in_slice_order(comm, *backend, &link, {"model.layers.0.o_in", kInputs, owner},
                                 slices.in_round(round, kRanks),
                                 has_slice ? partial.view() : kernels::MatrixView{},
                                 rank == owner ? sum : unused);
      }
    });
  }
  for (std::thread& rank : ranks) rank.join();

  PackedHessian expected(kInputs);
  std::string reason;
  const auto backend = kernels::make_backend(kernels::DeviceKind::cpu, 1, reason);
  kernels::Matrix partial = backend->allocate(kInputs, kInputs);
  std::vector<float> packed;
  for (std::int64_t slice = 0; slice < slices.count(); ++slice) {
    backend->upload(partial_of(slice, kInputs), partial);
    pack_rows(*backend, partial, 0, kInputs, packed);
    for (std::size_t i = 0; i < packed.size(); ++i) expected.values()[i] += packed[i];
  }
  EXPECT_EQ(std::memcmp(sum.values().data(), expected.values().data(),
                        static_cast<std::size_t>(PackedHessian::bytes(kInputs))),
            0);
}

}  // namespace
}  // namespace shardquant::waves
