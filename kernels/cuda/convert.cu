#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.hpp"
#include "kernels/cuda/stored_element.cuh"

namespace shardquant::kernels::cuda {

namespace {

template <class Stored>
__global__ void convert_kernel(const Stored* stored, MatrixView out) {
  const std::int64_t count = out.size();
  for (std::int64_t i = thread_in_grid(); i < count; i += threads_in_grid()) {
    out.row(i / out.cols)[i % out.cols] = stored_to_float(stored[i]);
  }
}

}  // namespace

void launch_convert(const void* stored, ElementType type, MatrixView out, cudaStream_t stream) {
  if (out.size() == 0) return;
  with_stored_type(type, [&]<class Stored>(const Stored*) {
    launch(stream, blocks_for_loop(out.size(), 256), 256, 0, convert_kernel<Stored>,
           static_cast<const Stored*>(stored), out);
  });
}

}  // namespace shardquant::kernels::cuda
