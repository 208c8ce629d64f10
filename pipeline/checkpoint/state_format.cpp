#include "pipeline/checkpoint/state_format.hpp"

#include "pipeline/checkpoint/hdf5_check.hpp"

namespace shardquant::checkpoint {

Hdf5Handle file_access(const std::string& file, bool locking) {
  constexpr ExitCode kCode = ExitCode::io_error;
  Hdf5Handle access(SHARDQUANT_HDF5_TRY(kCode, file, H5Pcreate(H5P_FILE_ACCESS)), H5Pclose);
  SHARDQUANT_HDF5_TRY(kCode, file,
                      H5Pset_libver_bounds(access.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V18));
  SHARDQUANT_HDF5_TRY(kCode, file, H5Pset_fclose_degree(access.get(), H5F_CLOSE_SEMI));
  SHARDQUANT_HDF5_TRY(kCode, file, H5Pset_file_locking(access.get(), locking, true));
  return access;
}

bool is_state_name(std::string_view name) {
  if (name.empty() || name.size() > 200 || name == ".") return false;
  for (const char c : name) {
    if (c < 0x20 || c > 0x7e || c == '/') return false;
  }
  return true;
}

}  // namespace shardquant::checkpoint
