#include "kernels/cuda/nccl_transport.hpp"

#include <nccl.h>

#include <cstring>

#include "kernels/api/kernel_error.hpp"
#include "kernels/cuda/cuda_check.hpp"

namespace shardquant::kernels::cuda {

namespace {

static_assert(sizeof(ncclUniqueId) == std::tuple_size_v<TransportId>);

// NCCL in its non-blocking mode: calls return at once, ncclCommGetAsyncError tells what became of
// them, and only when it has settled has the work been put on the stream.
class NcclTransport final : public DeviceTransport {
 public:
  NcclTransport(std::shared_ptr<DeviceContext> context, int rank, int size, const TransportId& id)
      : context_(std::move(context)) {
    ncclUniqueId unique_id;
    std::memcpy(&unique_id, id.data(), sizeof unique_id);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    accept(ncclCommInitRankConfig(&communicator_, size, unique_id, rank, &config));
  }

  ~NcclTransport() override { abort(); }  // ncclCommDestroy may wait for ever

  State poll(std::string& error) override {
    if (failed_) {
      error = error_;
      return State::failed;
    }
    ncclResult_t state = ncclSuccess;
    const ncclResult_t asked = ncclCommGetAsyncError(communicator_, &state);
    accept(asked != ncclSuccess ? asked : state);
    if (failed_) return poll(error);
    if (state == ncclInProgress) return State::working;
    if (!queued_) return State::done;  // connected; nothing started yet
    if (!marked_) {
      finished_.record(context_->stream());
      marked_ = true;
    }
    return finished_.is_done() ? State::done : State::working;
  }

  void start_send(ConstMatrixView matrix, int peer) override {
    queue([&] {
      return ncclSend(matrix.data, static_cast<std::size_t>(matrix.size()), ncclFloat, peer,
                      communicator_, context_->stream().get());
    });
  }

  void start_receive(MatrixView matrix, int peer) override {
    queue([&] {
      return ncclRecv(matrix.data, static_cast<std::size_t>(matrix.size()), ncclFloat, peer,
                      communicator_, context_->stream().get());
    });
  }

  void abort() noexcept override {
    if (communicator_ == nullptr) return;
    ncclCommAbort(communicator_);
    communicator_ = nullptr;
    failed_ = true;
    if (error_.empty()) error_ = "aborted";
  }

 private:
  template <class Call>
  void queue(Call call) {
    if (failed_) return;  // poll says so
    accept(call());
    queued_ = true;
    marked_ = false;
  }

  void accept(ncclResult_t result) {
    if (result == ncclSuccess || result == ncclInProgress) return;
    failed_ = true;
    error_ = std::string("NCCL: ") + ncclGetErrorString(result);
    if (communicator_ == nullptr) return;
    const char* detail = ncclGetLastError(communicator_);
    if (detail != nullptr && *detail != '\0') error_ += std::string(": ") + detail;
  }

  std::shared_ptr<DeviceContext> context_;
  ncclComm_t communicator_ = nullptr;
  Event finished_;
  bool queued_ = false;  // something was started since the connecting
  bool marked_ = false;  // finished_ stands behind it on the stream
  bool failed_ = false;
  std::string error_;
};

}  // namespace

bool make_transport_id(TransportId& id, std::string& reason) {
  ncclUniqueId unique_id;
  const ncclResult_t result = ncclGetUniqueId(&unique_id);
  if (result != ncclSuccess) {
    reason = std::string("NCCL gives no id: ") + ncclGetErrorString(result);
    return false;
  }
  std::memcpy(id.data(), &unique_id, id.size());
  return true;
}

std::unique_ptr<DeviceTransport> make_transport(std::shared_ptr<DeviceContext> context, int rank,
                                                int size, const TransportId& id) {
  return std::make_unique<NcclTransport>(std::move(context), rank, size, id);
}

}  // namespace shardquant::kernels::cuda
