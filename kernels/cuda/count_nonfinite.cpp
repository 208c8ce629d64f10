#include "kernels/cuda/count_nonfinite.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace shardquant::kernels::cuda {

std::int64_t count_nonfinite(DeviceContext& context, ConstMatrixView x, Part part,
                             std::int64_t& first) {
  DeviceBuffer<std::int64_t> found(context.memory(), 2 * kCountBlocks);
  launch_count_nonfinite(x, part, found.get(), found.get() + kCountBlocks, context.stream().get());
  std::vector<std::int64_t> host(static_cast<std::size_t>(found.count()));
  context.download(found.get(), std::span(host));
  const auto firsts = host.begin() + kCountBlocks;
  const std::int64_t count = std::accumulate(host.begin(), firsts, std::int64_t{0});
  if (count > 0) first = *std::min_element(firsts, host.end());
  return count;
}

}  // namespace shardquant::kernels::cuda
