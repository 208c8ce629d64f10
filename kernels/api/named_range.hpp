#pragma once

#include <string>

#include "kernels/api/backend.hpp"

namespace shardquant::kernels {

/// Names what the back end does in this scope for its device's profiler; costs nothing without one.
class NamedRange {
 public:
  NamedRange(Backend& backend, const std::string& name) : backend_(backend) {
    backend_.begin_range(name);
  }
  ~NamedRange() { backend_.end_range(); }
  NamedRange(const NamedRange&) = delete;
  NamedRange& operator=(const NamedRange&) = delete;

 private:
  Backend& backend_;
};

}  // namespace shardquant::kernels
