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

/// Numbers that cannot be worked with: NaN or infinity in an input.
class NumericalError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A Hessian whose factor, with any damping tried, does not exist or does not reproduce it. Its
/// numbers are finite; another FactorMethod may do.
class NotPositiveDefinite : public NumericalError {
  using NumericalError::NumericalError;
};

}  // namespace shardquant::kernels
