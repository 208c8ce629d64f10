#pragma once

#include <cstdint>
#include <span>

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
  /// Rounds in which every rank forwards one slice at most.
  std::int64_t rounds(int ranks) const { return (count() + ranks - 1) / ranks; }
};

/// Adds one round's partial Hessians of one group to the owner's sum, in slice order. Collective.
/// partial: this rank's, of slice round * ranks + rank; empty view where that slice does not exist.
/// sum: on the owner, else ignored. Pieces of about 16 MiB travel, so no rank holds a second
/// Hessian. link: takes them from device to device where not null, the same numbers in the same
/// order; name: of the group, for its errors.
void add_round_in_slice_order(comm::Communicator& comm, kernels::Backend& backend,
                              const Slices& slices, std::int64_t round, int owner,
                              std::int64_t inputs, kernels::ConstMatrixView partial,
                              PackedHessian& sum, DeviceLink* link, const std::string& name);

/// Collects one round's blocks of floats (the sketches of one group) on the owner, in slice order.
/// mine: of this rank's slice, empty where it has none. rows_of(slice) * floats_per_row floats
/// each.
void collect_round_in_slice_order(comm::Communicator& comm, const Slices& slices,
                                  std::int64_t round, int owner, std::int64_t floats_per_row,
                                  std::span<const float> mine, std::span<float> all);

}  // namespace shardquant::waves
