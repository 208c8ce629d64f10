#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/hdf5_check.hpp"
#include "pipeline/checkpoint/hdf5_handle.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/checkpoint/state_format.hpp"
#include "pipeline/checkpoint/state_seal.hpp"
#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"

#define SHARDQUANT_WRITE_TRY(call) SHARDQUANT_HDF5_TRY(ExitCode::io_error, shown_, call)

namespace shardquant::checkpoint {

namespace {

namespace fs = std::filesystem;

// Finds out what hinders the creation of a file in terms HDF5 does not tell, and clears away what
// an earlier process of the same number left under the name.
void probe_creation(const fs::path& path, const fs::path& temporary) {
  ::unlink(temporary.c_str());
  const Descriptor file(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (file.get() < 0) fail_creating(path, errno);
  ::unlink(temporary.c_str());
}

}  // namespace

struct StateFileWriter::Impl {
  struct OpenDataset {
    std::string name;
    hid_t type = H5I_INVALID_HID;
    std::int64_t element_bytes = 0, count = 0, written = 0;
    Hdf5Handle dataset, space;
    Xxh3 hash{Xxh3::Width::bits_64};
  };

  Impl(const fs::path& path, const StateFileLayout& layout)
      : path_(path), temporary_(temporary_path(path)), shown_(path.string()), layout_(layout) {}
  ~Impl() { discard(); }

  // Runs a step that writes; when it fails the file is poisoned.
  template <class Step>
  void guarded(Step&& step) {
    if (state_ == State::poisoned) {
      fail(ExitCode::io_error, "{}: not written further after an earlier error", shown_);
    }
    if (state_ == State::committed) fail(ExitCode::internal, "{}: is committed", shown_);
    try {
      step();
    } catch (...) {
      poison();
      throw;
    }
  }

  // No HDF5 call may follow an error, so the library keeps the file open; cutting it frees the
  // disk.
  void poison() {
    state_ = State::poisoned;
    if (open_) {
      open_->dataset.abandon();
      open_->space.abandon();
      open_.reset();
    }
    attribute_.abandon();
    file_.abandon();
    if (::truncate(temporary_.c_str(), 0) == 0 || errno != ENOENT) ::unlink(temporary_.c_str());
  }

  // Closing writes too, so a failure means to stop as everywhere else.
  void discard() {
    if (state_ != State::writing) return;
    const bool closed = !open_ || (open_->space.close() >= 0 && open_->dataset.close() >= 0);
    if (closed) file_.close();
    poison();
  }

  void create();
  void check_name(std::string_view name) const;
  void begin(std::string_view name, hid_t type, std::int64_t element_bytes, std::int64_t count);
  Hdf5Handle create_dataset(std::string_view name, hid_t type, std::int64_t element_bytes,
                            std::int64_t count, hid_t space) const;
  void append(hid_t type, const std::byte* values, std::int64_t count);
  void finish_dataset();
  void add_attribute(hid_t object, std::string_view name, hid_t type, const void* value);
  void add_text(std::string_view name, std::string_view value);
  void commit();

  enum class State { writing, poisoned, committed };

  const fs::path path_, temporary_;
  const std::string shown_;
  const StateFileLayout layout_;
  State state_ = State::writing;
  ino_t inode_ = 0;
  Hdf5Handle file_, attribute_;
  std::optional<OpenDataset> open_;
};

void StateFileWriter::Impl::create() {
  probe_creation(path_, temporary_);
  const auto attempt = [&](bool locking) {
    const Hdf5Handle access = file_access(shown_, locking);
    Hdf5Handle creation(SHARDQUANT_WRITE_TRY(H5Pcreate(H5P_FILE_CREATE)), H5Pclose);
    return Hdf5Handle(SHARDQUANT_WRITE_TRY(H5Fcreate(temporary_.c_str(), H5F_ACC_EXCL,
                                                     creation.get(), access.get())),
                      H5Fclose);
  };
  try {
    file_ = attempt(true);
  } catch (const Failure&) {
    // Some cluster file systems cannot lock. The name is this process's own and readers see only
    // committed files, so nothing depends on the lock.
    ::unlink(temporary_.c_str());
    file_ = attempt(false);
  }
  struct stat status {};
  if (::stat(temporary_.c_str(), &status) != 0) fail_creating(path_, errno);
  inode_ = status.st_ino;
  faults::reach(faults::Point::state_created, shown_);
}

void StateFileWriter::Impl::check_name(std::string_view name) const {
  if (!is_state_name(name)) {
    fail(ExitCode::internal, "{}: \"{}\" cannot be a name in it", shown_, name);
  }
}

Hdf5Handle StateFileWriter::Impl::create_dataset(std::string_view name, hid_t type,
                                                 std::int64_t element_bytes, std::int64_t count,
                                                 hid_t space) const {
  const Hdf5Handle creation(SHARDQUANT_WRITE_TRY(H5Pcreate(H5P_DATASET_CREATE)), H5Pclose);
  const Hdf5Handle access(SHARDQUANT_WRITE_TRY(H5Pcreate(H5P_DATASET_ACCESS)), H5Pclose);
  // A time in the file would make equal contents unequal bytes.
  SHARDQUANT_WRITE_TRY(H5Pset_obj_track_times(creation.get(), false));
  if (count > 0) {
    const hsize_t chunk = static_cast<hsize_t>(
        std::clamp<std::int64_t>(layout_.chunk_bytes / element_bytes, 1, count));
    SHARDQUANT_WRITE_TRY(H5Pset_chunk(creation.get(), 1, &chunk));
    SHARDQUANT_WRITE_TRY(H5Pset_fletcher32(creation.get()));
    // Room for the chunk that a piece ends in the middle of.
    SHARDQUANT_WRITE_TRY(H5Pset_chunk_cache(
        access.get(), 101, static_cast<std::size_t>(4 * layout_.chunk_bytes), 1.0));
  }
  return Hdf5Handle(
      SHARDQUANT_WRITE_TRY(H5Dcreate2(file_.get(), std::string(name).c_str(), type, space,
                                      H5P_DEFAULT, creation.get(), access.get())),
      H5Dclose);
}

void StateFileWriter::Impl::begin(std::string_view name, hid_t type, std::int64_t element_bytes,
                                  std::int64_t count) {
  check_name(name);
  if (open_) fail(ExitCode::internal, "{}: \"{}\" is not complete", shown_, open_->name);
  if (count < 0) fail(ExitCode::internal, "{}: \"{}\" of {} elements", shown_, name, count);
  const std::string text(name);
  if (SHARDQUANT_WRITE_TRY(H5Lexists(file_.get(), text.c_str(), H5P_DEFAULT)) > 0) {
    fail(ExitCode::internal, "{}: \"{}\" is written twice", shown_, name);
  }
  const hsize_t size = static_cast<hsize_t>(count);
  Hdf5Handle space(SHARDQUANT_WRITE_TRY(H5Screate_simple(1, &size, nullptr)), H5Sclose);
  OpenDataset& open = open_.emplace(OpenDataset{});
  open.name = text;
  open.type = type;
  open.element_bytes = element_bytes;
  open.count = count;
  open.dataset = create_dataset(name, type, element_bytes, count, space.get());
  open.space = std::move(space);
  if (count == 0) finish_dataset();
}

void StateFileWriter::Impl::append(hid_t type, const std::byte* values, std::int64_t count) {
  if (count == 0) return;
  if (!open_ || open_->type != type || count > open_->count - open_->written) {
    fail(ExitCode::internal, "{}: {} elements that no dataset was begun for", shown_, count);
  }
  OpenDataset& open = *open_;
  const std::int64_t piece = std::max<std::int64_t>(layout_.piece_bytes / open.element_bytes, 1);
  while (count > 0) {
    const std::int64_t part = std::min(piece, count);
    const hsize_t first = static_cast<hsize_t>(open.written);
    const hsize_t length = static_cast<hsize_t>(part);
    SHARDQUANT_WRITE_TRY(
        H5Sselect_hyperslab(open.space.get(), H5S_SELECT_SET, &first, nullptr, &length, nullptr));
    const Hdf5Handle memory(SHARDQUANT_WRITE_TRY(H5Screate_simple(1, &length, nullptr)), H5Sclose);
    SHARDQUANT_WRITE_TRY(
        H5Dwrite(open.dataset.get(), type, memory.get(), open.space.get(), H5P_DEFAULT, values));
    open.hash.update({values, static_cast<std::size_t>(part * open.element_bytes)});
    open.written += part;
    values += part * open.element_bytes;
    count -= part;
  }
  if (open.written == open.count) finish_dataset();
}

void StateFileWriter::Impl::finish_dataset() {
  const std::uint64_t hash = open_->hash.digest_64();
  add_attribute(open_->dataset.get(), kHashAttribute, file_type<std::uint64_t>(), &hash);
  SHARDQUANT_WRITE_TRY(open_->space.close());
  SHARDQUANT_WRITE_TRY(open_->dataset.close());
  open_.reset();
}

void StateFileWriter::Impl::add_attribute(hid_t object, std::string_view name, hid_t type,
                                          const void* value) {
  check_name(name);
  const std::string text(name);
  if (SHARDQUANT_WRITE_TRY(H5Aexists(object, text.c_str())) > 0) {
    fail(ExitCode::internal, "{}: attribute \"{}\" is written twice", shown_, name);
  }
  const Hdf5Handle space(SHARDQUANT_WRITE_TRY(H5Screate(H5S_SCALAR)), H5Sclose);
  // A member, so that after an error it is abandoned with the rest of the file.
  attribute_ = Hdf5Handle(SHARDQUANT_WRITE_TRY(H5Acreate2(object, text.c_str(), type, space.get(),
                                                          H5P_DEFAULT, H5P_DEFAULT)),
                          H5Aclose);
  SHARDQUANT_WRITE_TRY(H5Awrite(attribute_.get(), type, value));
  SHARDQUANT_WRITE_TRY(attribute_.close());
}

void StateFileWriter::Impl::add_text(std::string_view name, std::string_view value) {
  if (std::ssize(value) > kLongestText || value.find('\0') != std::string_view::npos) {
    fail(ExitCode::internal, "{}: the text of attribute \"{}\" cannot be stored", shown_, name);
  }
  const std::string terminated(value);
  const Hdf5Handle type(SHARDQUANT_WRITE_TRY(H5Tcopy(H5T_C_S1)), H5Tclose);
  SHARDQUANT_WRITE_TRY(H5Tset_size(type.get(), terminated.size() + 1));
  SHARDQUANT_WRITE_TRY(H5Tset_cset(type.get(), H5T_CSET_UTF8));
  add_attribute(file_.get(), name, type.get(), terminated.c_str());
}

void StateFileWriter::Impl::commit() {
  if (open_) fail(ExitCode::internal, "{}: \"{}\" is not complete", shown_, open_->name);
  SHARDQUANT_WRITE_TRY(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL));
  SHARDQUANT_WRITE_TRY(file_.close());
  faults::reach(faults::Point::state_written, shown_);
  append_seal(temporary_, inode_);
  faults::reach(faults::Point::state_sealed, shown_);
  rename_durably(temporary_, path_);
}

StateFileWriter::StateFileWriter(const fs::path& path, std::string_view kind,
                                 std::string_view fingerprint, const StateFileLayout& layout)
    : impl_(std::make_unique<Impl>(path, layout)) {
  impl_->guarded([&] {
    impl_->create();
    impl_->add_text(kFormatAttribute, kFormatName);
    add_integer(kVersionAttribute, kFormatVersion);
    impl_->add_text(kKindAttribute, kind);
    impl_->add_text(kFingerprintAttribute, fingerprint);
  });
}

StateFileWriter::~StateFileWriter() = default;

template <StateElement T>
void StateFileWriter::begin_dataset(std::string_view name, std::int64_t count) {
  impl_->guarded([&] { impl_->begin(name, file_type<T>(), sizeof(T), count); });
}

template <StateElement T>
void StateFileWriter::append(std::span<const T> values) {
  impl_->guarded(
      [&] { impl_->append(file_type<T>(), std::as_bytes(values).data(), std::ssize(values)); });
}

void StateFileWriter::add_text(std::string_view name, std::string_view value) {
  impl_->guarded([&] { impl_->add_text(name, value); });
}

void StateFileWriter::add_integer(std::string_view name, std::int64_t value) {
  impl_->guarded(
      [&] { impl_->add_attribute(impl_->file_.get(), name, file_type<std::int64_t>(), &value); });
}

void StateFileWriter::add_number(std::string_view name, double value) {
  impl_->guarded(
      [&] { impl_->add_attribute(impl_->file_.get(), name, file_type<double>(), &value); });
}

void StateFileWriter::commit() {
  impl_->guarded([&] { impl_->commit(); });
  impl_->state_ = Impl::State::committed;
}

#define SHARDQUANT_INSTANTIATE(T)                                                       \
  template void StateFileWriter::begin_dataset<T>(std::string_view name, std::int64_t); \
  template void StateFileWriter::append<T>(std::span<const T>)

SHARDQUANT_INSTANTIATE(float);
SHARDQUANT_INSTANTIATE(double);
SHARDQUANT_INSTANTIATE(std::int32_t);
SHARDQUANT_INSTANTIATE(std::int64_t);
SHARDQUANT_INSTANTIATE(std::uint8_t);
SHARDQUANT_INSTANTIATE(std::uint16_t);

}  // namespace shardquant::checkpoint
