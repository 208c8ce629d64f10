// In place of nccl_transport.cpp where the toolkit has no NCCL.
#include "kernels/api/kernel_error.hpp"
#include "kernels/cuda/nccl_transport.hpp"

namespace shardquant::kernels::cuda {

bool make_transport_id(TransportId&, std::string& reason) {
  reason = "this build has no NCCL";
  return false;
}

std::unique_ptr<DeviceTransport> make_transport(std::shared_ptr<DeviceContext>, int, int,
                                                const TransportId&) {
  throw DeviceError("this build has no NCCL");
}

}  // namespace shardquant::kernels::cuda
