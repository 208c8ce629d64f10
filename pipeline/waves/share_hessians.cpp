#include "pipeline/waves/share_hessians.hpp"

#include <algorithm>
#include <utility>

namespace shardquant::waves {

namespace {

constexpr std::size_t kPieceFloats = std::size_t{4} << 20;

template <class Floats, class Move>
void in_pieces(Floats floats, Move move) {
  while (!floats.empty()) {
    const std::size_t count = std::min(kPieceFloats, floats.size());
    move(floats.first(count));
    floats = floats.subspan(count);
  }
}

}  // namespace

std::vector<int> helpers_of(const Wave& wave, std::size_t index) {
  std::vector<int> helpers;
  for (const GroupPart& part : wave.parts) {
    if (part.group == wave.groups[index] && part.rank != wave.owners[index]) {
      helpers.push_back(part.rank);
    }
  }
  std::sort(helpers.begin(), helpers.end());
  helpers.erase(std::unique(helpers.begin(), helpers.end()), helpers.end());
  return helpers;
}

void share_hessian(comm::Communicator& comm, int owner, std::span<const int> helpers,
                   std::int64_t inputs, std::int64_t sketches, CalibratedGroup& calibrated) {
  if (comm.rank() == owner) {
    for (const int helper : helpers) {
      const auto send = [&](std::span<const float> piece) {
        comm.send(std::as_bytes(piece), helper);
      };
      in_pieces(std::as_const(calibrated).hessian.values(), send);
      in_pieces(std::span<const float>(calibrated.sketches), send);
    }
    return;
  }
  if (std::find(helpers.begin(), helpers.end(), comm.rank()) == helpers.end()) return;
  calibrated.hessian = PackedHessian(inputs);
  calibrated.sketches.resize(static_cast<std::size_t>(sketches));
  const auto receive = [&](std::span<float> piece) {
    comm.receive(std::as_writable_bytes(piece), owner);
  };
  in_pieces(calibrated.hessian.values(), receive);
  in_pieces(std::span<float>(calibrated.sketches), receive);
}

}  // namespace shardquant::waves
