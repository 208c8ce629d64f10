#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "kernels/api/backend.hpp"
#include "pipeline/comm/communicator.hpp"
#include "pipeline/waves/device_link.hpp"
#include "pipeline/waves/packed_hessian.hpp"

namespace shardquant::waves {

/// Rows and slices of the calibration data. A slice is the unit of data parallelism: slice s is
/// forwarded by rank s mod ranks whatever the number of ranks, and partial sums are added slice by
/// slice, so that results do not depend on it.
struct Slices {
  std::int64_t rows = 0;        ///< of all slices
  std::int64_t slice_rows = 0;  ///< of one; the last may have fewer
  std::int64_t length = 0;      ///< tokens of a row

  std::int64_t count() const { return (rows + slice_rows - 1) / slice_rows; }
  std::int64_t rows_of(std::int64_t slice) const {
    return slice + 1 < count() ? slice_rows : rows - slice * slice_rows;
  }
  int owner(std::int64_t slice, int ranks) const { return static_cast<int>(slice % ranks); }
  /// Slices of a round, of ranks 0, 1, ...
  std::int64_t in_round(std::int64_t round, int ranks) const {
    return std::min<std::int64_t>(ranks, count() - round * ranks);
  }
  /// Rounds in which every rank forwards one slice at most.
  std::int64_t rounds(int ranks) const { return (count() + ranks - 1) / ranks; }
};

/// A group whose Hessian one rank sums.
struct SummedGroup {
  std::string name;  ///< for errors
  std::int64_t inputs = 0;
  int owner = 0;  ///< the rank
};

/// Adds one round's partial Hessians of one group to the owner's sum, in slice order. Collective.
/// senders: Slices::in_round; ranks [0, senders) have a partial Hessian, of slice round * ranks +
/// rank; the others give an empty view.
/// sum: on the owner, else ignored. Pieces of about 16 MiB travel, so no rank holds a second
/// Hessian. link: takes them from device to device where not null, the same numbers in the same
/// order.
void add_round_in_slice_order(comm::Communicator& comm, kernels::Backend& backend, DeviceLink* link,
                              const SummedGroup& group, std::int64_t senders,
                              kernels::ConstMatrixView partial, PackedHessian& sum);

/// Collects one round's blocks of floats (the sketches of one group) on the owner, in slice order.
/// mine: of this rank's slice, empty where it has none. rows_of(slice) * floats_per_row floats
/// each.
void collect_round_in_slice_order(comm::Communicator& comm, const Slices& slices,
                                  std::int64_t round, int owner, std::int64_t floats_per_row,
                                  std::span<const float> mine, std::span<float> all);

}  // namespace shardquant::waves
