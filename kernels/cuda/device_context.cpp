#include "kernels/cuda/device_context.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

constexpr std::int64_t kStagingBytes = 16 << 20;
// Rows of planes begin on 16 bytes, as tensor cores want them.
constexpr std::int64_t kPlaneAlignment = 8;

int select_device(int device) {
  SHARDQUANT_CUDA_TRY(cudaSetDevice(device));
  return device;
}

}  // namespace

DeviceContext::DeviceContext(int device, int pieces, std::int64_t memory_budget)
    : device_(select_device(device)),
      pieces_(pieces),
      blas_(stream_),
      solver_(stream_),
      memory_(device, stream_, memory_budget),
      staging_{StagingBuffer{PinnedBuffer(kStagingBytes), {}},
               StagingBuffer{PinnedBuffer(kStagingBytes), {}}} {}

Matrix DeviceContext::allocate(std::int64_t rows, std::int64_t cols, std::int64_t stride) {
  const std::int64_t bytes = rows * stride * static_cast<std::int64_t>(sizeof(float));
  auto* data = static_cast<float*>(memory_.allocate(bytes));
  const auto release = [context = shared_from_this(), bytes](float* released) {
    context->weights_.erase(released);
    context->memory_.free(released, bytes);
  };
  return {std::shared_ptr<float[]>(data, release), rows, cols, stride};
}

Matrix DeviceContext::allocate_weight(std::int64_t rows, std::int64_t cols, int pieces) {
  Matrix matrix = allocate(rows, cols, cols);
  weights_[matrix.view().data] = {rows, cols, pieces, {}};
  return matrix;
}

void DeviceContext::upload(std::span<const std::byte> host, void* to) {
  auto* out = static_cast<std::byte*>(to);
  while (!host.empty()) {
    StagingBuffer& buffer = staging_[next_staging_];
    next_staging_ = 1 - next_staging_;
    const std::size_t part = std::min(host.size(), static_cast<std::size_t>(kStagingBytes));
    buffer.copied.wait();
    std::memcpy(buffer.memory.get(), host.data(), part);
    SHARDQUANT_CUDA_TRY(
        cudaMemcpyAsync(out, buffer.memory.get(), part, cudaMemcpyHostToDevice, stream_.get()));
    buffer.copied.record(stream_);
    host = host.subspan(part);
    out += part;
  }
}

void DeviceContext::download_bytes(const void* from, std::span<std::byte> host) {
  SHARDQUANT_CUDA_TRY(
      cudaMemcpyAsync(host.data(), from, host.size(), cudaMemcpyDeviceToHost, stream_.get()));
  stream_.synchronize();
}

DeviceBuffer<std::byte> DeviceContext::upload_stored(const HostTensor& tensor) {
  const std::int64_t bytes = tensor.rows * tensor.cols * (tensor.type == ElementType::f32 ? 4 : 2);
  DeviceBuffer<std::byte> stored(memory_, bytes);
  upload({tensor.data, static_cast<std::size_t>(bytes)}, stored.get());
  return stored;
}

SplitMatrix DeviceContext::split(ConstMatrixView x, int pieces) {
  SplitMatrix out;
  out.pieces = pieces;
  out.rows = x.rows;
  out.stride = (x.cols + kPlaneAlignment - 1) / kPlaneAlignment * kPlaneAlignment;
  out.planes = DeviceBuffer<std::uint16_t>(memory_, pieces * out.rows * out.stride);
  launch_split(x, pieces, out.stride, out.planes.get(), stream_.get());
  return out;
}

const SplitMatrix& DeviceContext::split_weight(ConstMatrixView weight, SplitMatrix& scratch) {
  const auto found = weights_.find(weight.data);
  if (found == weights_.end() || found->second.rows != weight.rows ||
      found->second.cols != weight.cols) {
    scratch = split(weight, pieces_);
    return scratch;
  }
  LoadedWeight& loaded = found->second;
  if (loaded.split.pieces == 0) loaded.split = split(weight, std::min(loaded.pieces, pieces_));
  return loaded.split;
}

}  // namespace shardquant::kernels::cuda
