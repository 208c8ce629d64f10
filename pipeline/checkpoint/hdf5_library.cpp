#include "pipeline/checkpoint/hdf5_library.hpp"

#include <fmt/format.h>
#include <hdf5.h>

namespace shardquant::checkpoint {

std::string hdf5_library() {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

}  // namespace shardquant::checkpoint
