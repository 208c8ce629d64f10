#include "pipeline/checkpoint/state_file_summary.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "pipeline/checkpoint/hdf5_check.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/checkpoint/state_format.hpp"
#include "pipeline/checkpoint/state_seal.hpp"

#define SHARDQUANT_READ_TRY(call) SHARDQUANT_HDF5_TRY(ExitCode::bad_data, shown, call)

namespace shardquant::checkpoint {

namespace {

// noexcept: an exception may not pass through the C library.
herr_t append_attribute(hid_t, const char* name, const H5A_info_t*, void* names) noexcept {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

herr_t append_dataset(hid_t, const char* name, const H5L_info_t*, void* names) noexcept {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

std::string value_of(hid_t file, const std::string& name, const std::string& shown) {
  const Hdf5Handle attribute(SHARDQUANT_READ_TRY(H5Aopen(file, name.c_str(), H5P_DEFAULT)),
                             H5Aclose);
  const Hdf5Handle type(SHARDQUANT_READ_TRY(H5Aget_type(attribute.get())), H5Tclose);
  const std::size_t size = H5Tget_size(type.get());
  if (H5Tget_class(type.get()) == H5T_STRING) {
    std::string text(size, '\0');
    SHARDQUANT_READ_TRY(H5Aread(attribute.get(), type.get(), text.data()));
    return text.substr(0, text.find('\0'));
  }
  if (H5Tget_class(type.get()) == H5T_FLOAT) {
    double number = 0.0;
    SHARDQUANT_READ_TRY(H5Aread(attribute.get(), H5T_NATIVE_DOUBLE, &number));
    return fmt::format("{}", number);
  }
  std::int64_t number = 0;
  SHARDQUANT_READ_TRY(H5Aread(attribute.get(), H5T_NATIVE_INT64, &number));
  return fmt::format("{}", number);
}

StateFileSummary::Dataset dataset_of(hid_t file, const std::string& name,
                                     const std::string& shown) {
  const Hdf5Handle dataset(SHARDQUANT_READ_TRY(H5Dopen2(file, name.c_str(), H5P_DEFAULT)),
                           H5Dclose);
  const Hdf5Handle space(SHARDQUANT_READ_TRY(H5Dget_space(dataset.get())), H5Sclose);
  const Hdf5Handle type(SHARDQUANT_READ_TRY(H5Dget_type(dataset.get())), H5Tclose);
  const char* kind = "int";
  if (H5Tget_class(type.get()) == H5T_FLOAT) {
    kind = "float";
  } else if (H5Tget_sign(type.get()) == H5T_SGN_NONE) {
    kind = "uint";
  }
  return {name, fmt::format("{}{}", kind, 8 * H5Tget_size(type.get())),
          SHARDQUANT_READ_TRY(H5Sget_simple_extent_npoints(space.get()))};
}

Hdf5Handle open_file(const std::filesystem::path& path) {
  const std::string shown = path.string();
  const Hdf5Handle access = file_access(shown, false);  // files of a final name never change
  return Hdf5Handle(SHARDQUANT_READ_TRY(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get())),
                    H5Fclose);
}

// What the file says, believed where its seal fits.
StateFileSummary read_summary(const std::filesystem::path& path) {
  const std::string shown = path.string();
  const Hdf5Handle file = open_file(path);
  std::vector<std::string> names;
  SHARDQUANT_READ_TRY(
      H5Aiterate2(file.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, append_attribute, &names));
  StateFileSummary summary;
  for (const std::string& name : names) {
    std::string value = value_of(file.get(), name, shown);
    if (name == kKindAttribute) {
      summary.kind = std::move(value);
    } else if (name == kFingerprintAttribute) {
      summary.fingerprint = std::move(value);
    } else if (name != kFormatAttribute && name != kVersionAttribute) {
      summary.attributes.push_back({name, std::move(value)});
    }
  }
  names.clear();
  SHARDQUANT_READ_TRY(
      H5Literate(file.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, append_dataset, &names));
  for (const std::string& name : names) {
    summary.datasets.push_back(dataset_of(file.get(), name, shown));
  }
  return summary;
}

}  // namespace

StateFileSummary summarize_state_file(const std::filesystem::path& path) {
  check_seal(path);
  StateFileSummary summary = read_summary(path);
  StateFileReader(path, summary.kind, summary.fingerprint).check_all();
  return summary;
}

}  // namespace shardquant::checkpoint
