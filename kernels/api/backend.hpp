#pragma once

#include "kernels/api/device.hpp"
#include "kernels/api/forward_ops.hpp"
#include "kernels/api/quantizer_ops.hpp"

namespace shardquant::kernels {

/// Every number the run computes on one device.
class Backend : public Device, public ForwardOps, public QuantizerOps {};

}  // namespace shardquant::kernels
