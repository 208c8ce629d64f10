#pragma once

#include <stdexcept>

namespace shardquant::kernels {

/// The back end asked for is not part of this build, or its device cannot be used.
class BackendUnavailable : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A call of the device or of one of its libraries failed; the run cannot go on with this device.
class DeviceError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The device has less free memory than the smallest piece of work needs.
class DeviceOutOfMemory : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Numbers that cannot be worked with: NaN or infinity in an input, or a Hessian that cannot be
/// factored with any damping.
class NumericalError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace shardquant::kernels
