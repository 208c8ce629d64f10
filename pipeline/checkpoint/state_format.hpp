#pragma once

#include <hdf5.h>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "pipeline/checkpoint/hdf5_handle.hpp"

namespace shardquant::checkpoint {

/// What a state file has in all its versions and kinds; attributes of the root group.
inline constexpr const char* kFormatAttribute = "format";
inline constexpr const char* kFormatName = "shardquant-state";
inline constexpr const char* kVersionAttribute = "format_version";
inline constexpr std::int64_t kFormatVersion = 1;
inline constexpr const char* kKindAttribute = "kind";
inline constexpr const char* kFingerprintAttribute = "fingerprint";
/// Attribute of every dataset: XXH3-64 of its elements' bytes, little endian.
inline constexpr const char* kHashAttribute = "xxh3_64";
/// Longest text of an attribute; the format's object headers end at 64 KiB.
inline constexpr std::int64_t kLongestText = std::int64_t{1} << 15;

/// How elements of type T lie in a file.
template <class T>
hid_t file_type() {
  if constexpr (std::same_as<T, float>) return H5T_IEEE_F32LE;
  if constexpr (std::same_as<T, double>) return H5T_IEEE_F64LE;
  if constexpr (std::same_as<T, std::int32_t>) return H5T_STD_I32LE;
  if constexpr (std::same_as<T, std::int64_t>) return H5T_STD_I64LE;
  if constexpr (std::same_as<T, std::uint8_t>) return H5T_STD_U8LE;
  if constexpr (std::same_as<T, std::uint16_t>) return H5T_STD_U16LE;
  if constexpr (std::same_as<T, std::uint64_t>) return H5T_STD_U64LE;
}

/// Whether a dataset or attribute may have the name: 1 to 200 printable ASCII characters, no '/'.
bool is_state_name(std::string_view name);

/// Properties for creating or opening a state file: no format newer than HDF5 1.8, closing refused
/// while something in the file is open, file locks as asked for.
/// @throws Failure(io_error) naming `file`
Hdf5Handle file_access(const std::string& file, bool locking);

}  // namespace shardquant::checkpoint
