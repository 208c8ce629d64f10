#pragma once

#include <hdf5.h>

#include <utility>

namespace shardquant::checkpoint {

/// Owns one HDF5 identifier and closes it at the end of life with the function that fits its kind
/// (H5Fclose, H5Dclose, ...). Move only.
class Hdf5Handle {
 public:
  using Closer = herr_t (*)(hid_t);

  Hdf5Handle() = default;
  Hdf5Handle(hid_t id, Closer closer) : id_(id), closer_(closer) {}
  ~Hdf5Handle() {
    if (id_ >= 0) closer_(id_);
  }
  Hdf5Handle(Hdf5Handle&& other) noexcept
      : id_(std::exchange(other.id_, H5I_INVALID_HID)), closer_(other.closer_) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(closer_, other.closer_);
    return *this;
  }
  Hdf5Handle(const Hdf5Handle&) = delete;
  Hdf5Handle& operator=(const Hdf5Handle&) = delete;

  bool is_open() const { return id_ >= 0; }
  hid_t get() const { return id_; }

  /// Closes now and returns what the closing function returned; 0 when there is nothing to close.
  herr_t close() {
    const hid_t id = std::exchange(id_, H5I_INVALID_HID);
    return id >= 0 ? closer_(id) : 0;
  }

  /// Forgets the identifier without any HDF5 call: for files on which a write failed, where every
  /// further call may crash the library.
  void abandon() { id_ = H5I_INVALID_HID; }

 private:
  hid_t id_ = H5I_INVALID_HID;
  Closer closer_ = nullptr;
};

}  // namespace shardquant::checkpoint
