#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shardquant::checkpoint {

/// What a dataset of a state file may hold; stored little endian.
template <class T>
concept StateElement = std::same_as<T, float> || std::same_as<T, double> ||
    std::same_as<T, std::int32_t> || std::same_as<T, std::int64_t> ||
    std::same_as<T, std::uint8_t> || std::same_as<T, std::uint16_t>;

/// Sizes of the parts in which data goes to a state file; the defaults are right but for tests.
struct StateFileLayout {
  std::int64_t chunk_bytes = std::int64_t{1} << 20;  ///< unit of storage and of its checksum
  std::int64_t piece_bytes = std::int64_t{1} << 23;  ///< most that one HDF5 call carries
};

/// Writes one state file: an HDF5 file (earliest format, 1-D datasets in Fletcher32-checked chunks,
/// each with its XXH3-64 in the attribute "xxh3_64") followed by a seal, 32 bytes with the XXH3-128
/// of all before. It grows as PATH.tmp.PID and gets its name in commit(): a file of the final name
/// is complete. Equal contents give equal bytes. Not for use by two threads at once.
///
/// The first error poisons the file: it is removed, HDF5 is not called on it again, and every later
/// call throws Failure(io_error). Names of datasets and attributes are 1 to 200 printable ASCII
/// characters without '/'; a wrong or repeated name is Failure(internal).
/// @pre one writer per path at a time
class StateFileWriter {
 public:
  /// `kind` says what the file is for, `fingerprint` to which run it belongs; a reader must name
  /// the same. @throws Failure: cannot_create, no_permission, io_error
  StateFileWriter(const std::filesystem::path& path, std::string_view kind,
                  std::string_view fingerprint, const StateFileLayout& layout = {});
  /// Removes the file unless it was committed.
  ~StateFileWriter();
  StateFileWriter(const StateFileWriter&) = delete;
  StateFileWriter& operator=(const StateFileWriter&) = delete;

  /// Adds a dataset of `values`, of any number. @throws Failure(io_error), also for a full disk
  template <StateElement T>
  void write(std::string_view name, std::span<const T> values) {
    begin_dataset<T>(name, std::ssize(values));
    append(values);
  }

  /// Starts a dataset of `count` elements, to be filled by append(). @throws as write
  template <StateElement T>
  void begin_dataset(std::string_view name, std::int64_t count);
  /// The next elements of the dataset begun last; it ends by itself when it has its count. More
  /// than that, or another type, is Failure(internal). @throws as write
  template <StateElement T>
  void append(std::span<const T> values);

  /// Adds an attribute of the file. Text: UTF-8 without NUL, 32 KiB at most. @throws as write
  void add_text(std::string_view name, std::string_view value);
  void add_integer(std::string_view name, std::int64_t value);
  void add_number(std::string_view name, double value);

  /// Closes, seals, flushes to disk, gives the final name (in place of a file that has it) and
  /// flushes the folder. Nothing may be written afterwards. A dataset short of its count is
  /// Failure(internal). @throws Failure(io_error); then the temporary file is gone
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Reads one state file. The seal is checked before HDF5 sees a byte, so the library never parses a
/// damaged file. Any damage is Failure(bad_data) naming the file. Not for use by two threads at
/// once.
class StateFileReader {
 public:
  /// Reads the whole file once for its seal.
  /// @throws Failure: no_input missing; no_permission; io_error; bad_data damaged, or of another
  /// kind, format version or fingerprint
  StateFileReader(const std::filesystem::path& path, std::string_view kind,
                  std::string_view fingerprint);
  ~StateFileReader();
  StateFileReader(const StateFileReader&) = delete;
  StateFileReader& operator=(const StateFileReader&) = delete;

  /// Names of all datasets, sorted.
  std::vector<std::string> dataset_names() const;

  /// A whole dataset, its hash checked. @throws Failure(bad_data): damaged, missing, another type
  template <StateElement T>
  std::vector<T> read(std::string_view name) {
    std::vector<T> values(static_cast<std::size_t>(begin_dataset<T>(name)));
    read_next(std::span(values));
    return values;
  }
  /// The same into memory of the caller; a dataset of another size than `out` is bad_data.
  template <StateElement T>
  void read_into(std::string_view name, std::span<T> out) {
    begin_dataset<T>(name, std::ssize(out));
    read_next(out);
  }

  /// Starts reading a dataset in pieces and returns its number of elements. @throws as read
  template <StateElement T>
  std::int64_t begin_dataset(std::string_view name);
  /// The next elements of the dataset begun last. With the last one the hash is checked: only then
  /// is what was read known to be right. @pre no more than are left (else Failure(internal))
  template <StateElement T>
  void read_next(std::span<T> out);

  /// Attributes of the file. @throws Failure(bad_data): missing, another type
  std::string text(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;

  /// Reads every dataset and checks its hash, in pieces. @throws Failure(bad_data)
  void check_all();

 private:
  template <StateElement T>
  void begin_dataset(std::string_view name, std::int64_t count);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether a committed, undamaged state file of that kind and run is there: seal and every dataset
/// are checked (the file is read twice). False also for a missing file.
/// @throws Failure: io_error and no_permission, where the file could not be looked at
bool state_file_is_valid(const std::filesystem::path& path, std::string_view kind,
                         std::string_view fingerprint);

/// The same; a file that is there and damaged (not one that is whole but of another run) is set
/// aside first, with a warning on standard error.
bool state_file_is_usable(const std::filesystem::path& path, std::string_view kind,
                          std::string_view fingerprint);

/// Renames a damaged file to PATH.bad, or PATH.bad.2, .3, ... where that is taken, so that it can
/// be looked at later and the name is free; nothing is ever deleted. Returns the new path.
/// @throws Failure: no_input, no_permission, io_error
std::filesystem::path set_aside_damaged(const std::filesystem::path& path);

}  // namespace shardquant::checkpoint
