#include "pipeline/waves/sum_over_slices.hpp"

namespace shardquant::waves {

namespace {

void add_to(std::span<float> sum, std::span<const float> part) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
}

}  // namespace

void add_round_in_slice_order(comm::Communicator& comm, kernels::Backend& backend, DeviceLink* link,
                              const SummedGroup& group, std::int64_t senders,
                              kernels::ConstMatrixView partial, PackedHessian& sum) {
  const auto [name, inputs, owner] = group;
  const bool has_slice = comm.rank() < senders;
  std::vector<float> packed;
  std::vector<float> received;
  const std::int64_t step = rows_per_piece(inputs);
  const std::string what = "Hessian of " + name;
  kernels::Matrix arriving;
  if (link != nullptr && comm.rank() == owner) arriving = backend.allocate(step, inputs);
  for (std::int64_t first = 0; first < inputs; first += step) {
    const std::int64_t count = std::min(step, inputs - first);
    if (comm.rank() != owner) {
      if (!has_slice) continue;
      if (link != nullptr) {
        link->send(partial.row_range(first, count), owner, what);
        continue;
      }
      pack_rows(backend, partial, first, count, packed);
      comm.send(std::as_bytes(std::span(packed)), owner);
      continue;
    }
    if (has_slice) pack_rows(backend, partial, first, count, packed);
    const std::span<float> target = sum.rows(first, count);
    for (int rank = 0; rank < senders; ++rank) {
      if (rank == owner) {
        add_to(target, packed);
      } else {
        if (link != nullptr) {
          link->receive(arriving.view().row_range(0, count), rank, what);
          pack_piece(backend, arriving.view().row_range(0, count), first, received);
        } else {
          received.resize(target.size());
          comm.receive(std::as_writable_bytes(std::span(received)), rank);
        }
        add_to(target, received);
      }
    }
  }
}

void collect_round_in_slice_order(comm::Communicator& comm, const Slices& slices,
                                  std::int64_t round, int owner, std::int64_t floats_per_row,
                                  std::span<const float> mine, std::span<float> all) {
  const std::int64_t senders = slices.in_round(round, comm.size());
  if (comm.rank() != owner) {
    if (!mine.empty()) comm.send(std::as_bytes(mine), owner);
    return;
  }
  for (std::int64_t rank = 0; rank < senders; ++rank) {
    const std::int64_t slice = round * comm.size() + rank;
    const auto begin = static_cast<std::size_t>(slice * slices.slice_rows * floats_per_row);
    const auto count = static_cast<std::size_t>(slices.rows_of(slice) * floats_per_row);
    const std::span<float> target = all.subspan(begin, count);
    if (rank == owner) {
      std::copy(mine.begin(), mine.end(), target.begin());
    } else {
      comm.receive(std::as_writable_bytes(target), static_cast<int>(rank));
    }
  }
}

}  // namespace shardquant::waves
