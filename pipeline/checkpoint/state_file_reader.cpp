#include <algorithm>
#include <optional>

#include "pipeline/checkpoint/hdf5_check.hpp"
#include "pipeline/checkpoint/hdf5_handle.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/checkpoint/state_format.hpp"
#include "pipeline/checkpoint/state_seal.hpp"
#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/failure.hpp"

#define SHARDQUANT_READ_TRY(call) SHARDQUANT_HDF5_TRY(ExitCode::bad_data, shown_, call)

namespace shardquant::checkpoint {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kPieceBytes = std::int64_t{1} << 23;

// noexcept: an exception may not pass through the C library.
herr_t append_name(hid_t, const char* name, const H5L_info_t*, void* names) noexcept {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

}  // namespace

struct StateFileReader::Impl {
  struct OpenDataset {
    std::string name;
    hid_t type = H5I_INVALID_HID;
    std::int64_t element_bytes = 0, count = 0, taken = 0;
    std::uint64_t stored_hash = 0;
    Hdf5Handle dataset, space;
    Xxh3 hash{Xxh3::Width::bits_64};
  };

  explicit Impl(const fs::path& path)
      : path_(path), shown_(path.string()), bytes_(check_seal(path)), file_(open()) {}

  Hdf5Handle open() const;
  void check_identity(std::string_view kind, std::string_view fingerprint) const;
  std::int64_t begin(std::string_view name, hid_t type, std::int64_t element_bytes);
  void read_next(hid_t type, std::byte* out, std::int64_t count);
  void check_hash() const;
  void check_dataset(const std::string& name);

  bool has_link(const std::string& name) const;
  Hdf5Handle open_attribute(hid_t object, std::string_view name) const;
  void read_attribute(hid_t object, std::string_view name, hid_t type, void* value) const;
  std::string read_text(std::string_view name) const;

  const fs::path path_;
  const std::string shown_;
  const std::int64_t bytes_;
  const Hdf5Handle file_;
  std::optional<OpenDataset> open_;
};

Hdf5Handle StateFileReader::Impl::open() const {
  const auto attempt = [&](bool locking) {
    const Hdf5Handle access = file_access(shown_, locking);
    return Hdf5Handle(SHARDQUANT_READ_TRY(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access.get())),
                      H5Fclose);
  };
  try {
    return attempt(true);
  } catch (const Failure&) {
    // Some cluster file systems cannot lock; files of this name never change.
    return attempt(false);
  }
}

void StateFileReader::Impl::check_identity(std::string_view kind,
                                           std::string_view fingerprint) const {
  if (H5Aexists(file_.get(), kFormatAttribute) <= 0 || read_text(kFormatAttribute) != kFormatName) {
    fail(ExitCode::bad_data, "{}: an HDF5 file, but not state of this program", shown_);
  }
  std::int64_t version = 0;
  read_attribute(file_.get(), kVersionAttribute, file_type<std::int64_t>(), &version);
  if (version != kFormatVersion) {
    fail(ExitCode::bad_data,
         "{}: format version {}, this program reads {}; use another work folder", shown_, version,
         kFormatVersion);
  }
  if (const std::string stored = read_text(kKindAttribute); stored != kind) {
    fail(ExitCode::bad_data, "{}: kind is \"{}\" where \"{}\" belongs; was it renamed?", shown_,
         stored, kind);
  }
  if (const std::string stored = read_text(kFingerprintAttribute); stored != fingerprint) {
    fail(ExitCode::bad_data,
         "{}: fingerprint is {}, of this run {}: state of a run with other settings or another "
         "model; use another work folder",
         shown_, stored, fingerprint);
  }
}

bool StateFileReader::Impl::has_link(const std::string& name) const {
  return is_state_name(name) &&
         SHARDQUANT_READ_TRY(H5Lexists(file_.get(), name.c_str(), H5P_DEFAULT)) > 0;
}

std::int64_t StateFileReader::Impl::begin(std::string_view name, hid_t type,
                                          std::int64_t element_bytes) {
  const std::string text(name);
  open_.reset();
  if (!has_link(text)) fail(ExitCode::bad_data, "{}: has no dataset \"{}\"", shown_, name);
  OpenDataset open;
  open.name = text;
  open.type = type;
  open.element_bytes = element_bytes;
  open.dataset =
      Hdf5Handle(SHARDQUANT_READ_TRY(H5Dopen2(file_.get(), text.c_str(), H5P_DEFAULT)), H5Dclose);
  open.space = Hdf5Handle(SHARDQUANT_READ_TRY(H5Dget_space(open.dataset.get())), H5Sclose);
  const Hdf5Handle stored(SHARDQUANT_READ_TRY(H5Dget_type(open.dataset.get())), H5Tclose);
  if (SHARDQUANT_READ_TRY(H5Tequal(stored.get(), type)) == 0 ||
      SHARDQUANT_READ_TRY(H5Sget_simple_extent_ndims(open.space.get())) != 1) {
    fail(ExitCode::bad_data, "{}: dataset \"{}\" has another type than expected", shown_, name);
  }
  open.count = SHARDQUANT_READ_TRY(H5Sget_simple_extent_npoints(open.space.get()));
  // Nothing is compressed, so more elements than bytes in the file cannot be there.
  if (open.count > bytes_ / element_bytes) {
    fail(ExitCode::bad_data, "{}: dataset \"{}\" of {} elements does not fit the file", shown_,
         name, open.count);
  }
  read_attribute(open.dataset.get(), kHashAttribute, file_type<std::uint64_t>(), &open.stored_hash);
  const std::int64_t count = open.count;
  open_.emplace(std::move(open));
  if (count == 0) check_hash();
  return count;
}

void StateFileReader::Impl::read_next(hid_t type, std::byte* out, std::int64_t count) {
  if (count == 0) return;
  if (!open_ || open_->type != type || count > open_->count - open_->taken) {
    fail(ExitCode::internal, "{}: {} elements asked for that no dataset has", shown_, count);
  }
  OpenDataset& open = *open_;
  const std::int64_t piece = kPieceBytes / open.element_bytes;
  while (count > 0) {
    const std::int64_t part = std::min(piece, count);
    const hsize_t first = static_cast<hsize_t>(open.taken);
    const hsize_t length = static_cast<hsize_t>(part);
    SHARDQUANT_READ_TRY(
        H5Sselect_hyperslab(open.space.get(), H5S_SELECT_SET, &first, nullptr, &length, nullptr));
    const Hdf5Handle memory(SHARDQUANT_READ_TRY(H5Screate_simple(1, &length, nullptr)), H5Sclose);
    SHARDQUANT_READ_TRY(
        H5Dread(open.dataset.get(), type, memory.get(), open.space.get(), H5P_DEFAULT, out));
    open.hash.update({out, static_cast<std::size_t>(part * open.element_bytes)});
    open.taken += part;
    out += part * open.element_bytes;
    count -= part;
  }
  if (open.taken == open.count) check_hash();
}

void StateFileReader::Impl::check_hash() const {
  if (open_->hash.digest_64() != open_->stored_hash) {
    fail(ExitCode::bad_data, "{}: dataset \"{}\" is damaged: its hash does not fit", shown_,
         open_->name);
  }
}

void StateFileReader::Impl::check_dataset(const std::string& name) {
  const Hdf5Handle dataset(SHARDQUANT_READ_TRY(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT)),
                           H5Dclose);
  const Hdf5Handle type(SHARDQUANT_READ_TRY(H5Dget_type(dataset.get())), H5Tclose);
  const auto bytes = static_cast<std::int64_t>(H5Tget_size(type.get()));
  if (bytes < 1 || bytes > 8) {
    fail(ExitCode::bad_data, "{}: dataset \"{}\" has a type that is not used here", shown_, name);
  }
  std::int64_t left = begin(name, type.get(), bytes);
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min(left * bytes, kPieceBytes)));
  while (left > 0) {
    const std::int64_t part = std::min(left, kPieceBytes / bytes);
    read_next(type.get(), piece.data(), part);
    left -= part;
  }
}

Hdf5Handle StateFileReader::Impl::open_attribute(hid_t object, std::string_view name) const {
  const std::string text(name);
  if (!is_state_name(name) || SHARDQUANT_READ_TRY(H5Aexists(object, text.c_str())) == 0) {
    fail(ExitCode::bad_data, "{}: has no attribute \"{}\"", shown_, name);
  }
  return Hdf5Handle(SHARDQUANT_READ_TRY(H5Aopen(object, text.c_str(), H5P_DEFAULT)), H5Aclose);
}

void StateFileReader::Impl::read_attribute(hid_t object, std::string_view name, hid_t type,
                                           void* value) const {
  const Hdf5Handle attribute = open_attribute(object, name);
  const Hdf5Handle stored(SHARDQUANT_READ_TRY(H5Aget_type(attribute.get())), H5Tclose);
  const Hdf5Handle space(SHARDQUANT_READ_TRY(H5Aget_space(attribute.get())), H5Sclose);
  if (SHARDQUANT_READ_TRY(H5Tequal(stored.get(), type)) == 0 ||
      SHARDQUANT_READ_TRY(H5Sget_simple_extent_npoints(space.get())) != 1) {
    fail(ExitCode::bad_data, "{}: attribute \"{}\" has another type than expected", shown_, name);
  }
  SHARDQUANT_READ_TRY(H5Aread(attribute.get(), type, value));
}

std::string StateFileReader::Impl::read_text(std::string_view name) const {
  const Hdf5Handle attribute = open_attribute(file_.get(), name);
  const Hdf5Handle type(SHARDQUANT_READ_TRY(H5Aget_type(attribute.get())), H5Tclose);
  const Hdf5Handle space(SHARDQUANT_READ_TRY(H5Aget_space(attribute.get())), H5Sclose);
  const std::size_t size = H5Tget_size(type.get());
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 || size == 0 ||
      size > kLongestText + 1 ||
      SHARDQUANT_READ_TRY(H5Sget_simple_extent_npoints(space.get())) != 1) {
    fail(ExitCode::bad_data, "{}: attribute \"{}\" is not a text", shown_, name);
  }
  std::string value(size, '\0');
  SHARDQUANT_READ_TRY(H5Aread(attribute.get(), type.get(), value.data()));
  value.resize(std::min(value.find('\0'), value.size()));
  return value;
}

StateFileReader::StateFileReader(const fs::path& path, std::string_view kind,
                                 std::string_view fingerprint)
    : impl_(std::make_unique<Impl>(path)) {
  impl_->check_identity(kind, fingerprint);
}

StateFileReader::~StateFileReader() = default;

std::vector<std::string> StateFileReader::dataset_names() const {
  const std::string& shown_ = impl_->shown_;
  std::vector<std::string> names;
  SHARDQUANT_READ_TRY(
      H5Literate(impl_->file_.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, append_name, &names));
  std::sort(names.begin(), names.end());
  return names;
}

template <StateElement T>
std::int64_t StateFileReader::begin_dataset(std::string_view name) {
  return impl_->begin(name, file_type<T>(), sizeof(T));
}

template <StateElement T>
void StateFileReader::begin_dataset(std::string_view name, std::int64_t count) {
  const std::int64_t stored = begin_dataset<T>(name);
  if (stored != count) {
    fail(ExitCode::bad_data, "{}: dataset \"{}\" has {} elements where {} belong", impl_->shown_,
         name, stored, count);
  }
}

template <StateElement T>
void StateFileReader::read_next(std::span<T> out) {
  impl_->read_next(file_type<T>(), std::as_writable_bytes(out).data(), std::ssize(out));
}

std::string StateFileReader::text(std::string_view name) const {
  return impl_->read_text(name);
}

std::int64_t StateFileReader::integer(std::string_view name) const {
  std::int64_t value = 0;
  impl_->read_attribute(impl_->file_.get(), name, file_type<std::int64_t>(), &value);
  return value;
}

double StateFileReader::number(std::string_view name) const {
  double value = 0.0;
  impl_->read_attribute(impl_->file_.get(), name, file_type<double>(), &value);
  return value;
}

void StateFileReader::check_all() {
  for (const std::string& name : dataset_names()) impl_->check_dataset(name);
}

#define SHARDQUANT_INSTANTIATE(T)                                                       \
  template std::int64_t StateFileReader::begin_dataset<T>(std::string_view name);       \
  template void StateFileReader::begin_dataset<T>(std::string_view name, std::int64_t); \
  template void StateFileReader::read_next<T>(std::span<T>)

SHARDQUANT_INSTANTIATE(float);
SHARDQUANT_INSTANTIATE(double);
SHARDQUANT_INSTANTIATE(std::int32_t);
SHARDQUANT_INSTANTIATE(std::int64_t);
SHARDQUANT_INSTANTIATE(std::uint8_t);
SHARDQUANT_INSTANTIATE(std::uint16_t);

}  // namespace shardquant::checkpoint
