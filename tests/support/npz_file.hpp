#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace shardquant::tests {

/// One array of a NumPy .npz file.
struct NpyArray {
  std::string dtype;  ///< as NumPy writes it: "<f2", "<f8", "|u1", "<i4"
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> bytes;

  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
};

/// Reads the arrays of an .npz (a ZIP of .npy, stored or deflated) by name without ".npy".
/// @throws std::runtime_error when an array is missing or the file is malformed
class NpzFile {
 public:
  explicit NpzFile(const std::string& path);
  NpyArray read(const std::string& name) const;

 private:
  struct Entry {
    std::uint32_t method, packed, unpacked, offset;
  };
  std::vector<std::uint8_t> file_;
  std::map<std::string, Entry> entries_;
};

}  // namespace shardquant::tests
