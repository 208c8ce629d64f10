#pragma once

#include <string>

namespace shardquant::checkpoint {

/// Version of the HDF5 library in use, as "1.10.8".
std::string hdf5_library();

}  // namespace shardquant::checkpoint
