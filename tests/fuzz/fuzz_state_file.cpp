// Feeds state files to their reader. First byte 1 modulo 4: the rest decides what a file holds that
// is written and sealed by this program, as another version or another kind of run might have left
// it. Otherwise the rest is the file, which must be refused unless its seal is right. HDF5 never
// sees anything else, so nothing else is fed to it.

#include <algorithm>
#include <string>
#include <vector>

#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/checkpoint/state_seal.hpp"
#include "pipeline/failure.hpp"
#include "tests/fuzz/byte_source.hpp"
#include "tests/fuzz/scratch_folder.hpp"

namespace {

using namespace shardquant;
using checkpoint::StateFileReader;
using checkpoint::StateFileWriter;
using fuzz::ByteSource;
using fuzz::require;

constexpr const char* kKind = "measurement";
constexpr const char* kRun = "0123456789abcdef";
constexpr std::int64_t kInputs = 4;
constexpr checkpoint::StateFileLayout kSmall{.chunk_bytes = 256, .piece_bytes = 1024};

// What the stages read of a group's files.
void read_all(const std::filesystem::path& path) {
  StateFileReader file(path, kKind, kRun);
  file.check_all();
  (void)file.dataset_names();
  (void)file.number("damp");
  (void)file.integer("options");
  std::vector<float> triangle(static_cast<std::size_t>(kInputs * (kInputs + 1) / 2));
  file.read_into<float>("upper_triangle", triangle);
  (void)file.read<double>("err");
  (void)file.read<std::int64_t>("flushed_groups");
}

void try_reading(const std::filesystem::path& path) {
  try {
    read_all(path);
  } catch (const Failure& failure) {
    require(failure.code() == ExitCode::bad_data);
    require(std::string_view(failure.what()).starts_with(path.string()));
  }
}

template <class T>
void add_dataset(StateFileWriter& writer, const char* name, ByteSource& source) {
  const int count = source.rarely(4) ? source.below(200) : 10;
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) value = static_cast<T>(source.byte());
  writer.write<T>(name, values);
}

// Of the type that belongs there, most times.
template <class Right, class Wrong>
void add_one(StateFileWriter& writer, const char* name, ByteSource& source) {
  switch (source.below(8)) {
    case 0:
      return;
    case 1:
      return add_dataset<Wrong>(writer, name, source);
    default:
      return add_dataset<Right>(writer, name, source);
  }
}

void write_file(const std::filesystem::path& path, ByteSource source) {
  StateFileWriter writer(path, source.rarely(16) ? "hessian" : kKind,
                         source.rarely(16) ? "other" : kRun, kSmall);
  if (!source.rarely(16)) writer.add_number("damp", source.byte());
  if (source.rarely(8)) {
    writer.add_text("options", "text");
  } else {
    writer.add_integer("options", source.byte());
  }
  add_one<float, double>(writer, "upper_triangle", source);
  add_one<double, float>(writer, "err", source);
  add_one<std::int64_t, std::int32_t>(writer, "flushed_groups", source);
  if (source.rarely(8)) add_dataset<std::uint8_t>(writer, "more", source);
  writer.commit();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::ScratchFolder scratch;
  ByteSource source({reinterpret_cast<const char*>(data), size});
  if (source.byte() % 4 == 1) {
    const std::filesystem::path path = scratch.file("written.h5");
    write_file(path, source);
    try_reading(path);
    return 0;
  }
  const std::filesystem::path path = scratch.file("given.h5");
  scratch.put("given.h5", source.take(size));
  try {
    require(checkpoint::check_seal(path) + 32 == static_cast<std::int64_t>(size) - 1);
  } catch (const Failure& failure) {
    require(failure.code() == ExitCode::bad_data);
    require(!checkpoint::state_file_is_valid(path, kKind, kRun));
    return 0;
  }
  try_reading(path);
  return 0;
}
