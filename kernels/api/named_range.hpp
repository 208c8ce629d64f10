#pragma once

#include <string>

#include "kernels/api/device.hpp"

namespace shardquant::kernels {

/// Names what the device does in this scope for its profiler; costs nothing without one.
class NamedRange {
 public:
  NamedRange(Device& device, const std::string& name) : device_(device) {
    device_.begin_range(name);
  }
  ~NamedRange() { device_.end_range(); }
  NamedRange(const NamedRange&) = delete;
  NamedRange& operator=(const NamedRange&) = delete;

 private:
  Device& device_;
};

}  // namespace shardquant::kernels
