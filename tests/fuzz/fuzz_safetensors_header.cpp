// Feeds whole safetensors files to the reader. The first byte says how the rest becomes a file: as
// it is; as the header's text, with a right length before it; or as decisions of a generator whose
// headers are right but for a few places. What is accepted must tile its buffer and read back.

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "pipeline/failure.hpp"
#include "pipeline/formats/safetensors_file.hpp"
#include "tests/fuzz/byte_source.hpp"
#include "tests/fuzz/scratch_folder.hpp"

namespace {

using namespace shardquant;
using fuzz::ByteSource;
using fuzz::require;

constexpr const char* kDtypes[] = {"F32",  "F16", "BF16", "I32", "U8",  "I64", "F64",
                                   "BOOL", "I16", "U16",  "I8",  "U32", "U64", "F8_E4M3"};
constexpr int kSizes[] = {4, 2, 2, 4, 1, 8, 8, 1, 2, 2, 1, 4, 8, 1};
constexpr const char* kWrongValues[] = {"null",
                                        "true",
                                        "-1",
                                        "-0",
                                        "1.0",
                                        "1e2",
                                        "18446744073709551616",
                                        "9223372036854775807",
                                        "[]",
                                        "{}",
                                        "\"\"",
                                        "\"f32\"",
                                        "[[0,4]]",
                                        "4294967296",
                                        "0x10",
                                        "NaN",
                                        "01",
                                        "[0,4,8]"};
constexpr const char* kNames[] = {"w",
                                  "a.b.c",
                                  "",
                                  "..",
                                  "a/b",
                                  "a\\\\b",
                                  "\\u0000",
                                  "\\ud800",
                                  "\\ud83d\\ude00",
                                  "__metadata__",
                                  "w",
                                  "\xc3\xa9",
                                  "\xff"};

std::string with_length(std::string_view header, std::uint64_t length) {
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file.append(header);
}

// One member of a tensor, right but once in a while.
std::string field(ByteSource& source, const std::string& name, const std::string& value) {
  const std::string shown = source.rarely(40) ? kWrongValues[source.below(18)] : value;
  const std::string key = source.rarely(60) ? "dtype" : name;
  return '"' + key + "\":" + shown;
}

std::string generated(ByteSource source) {
  std::string header = "{";
  std::int64_t place = 0;
  if (source.rarely(3)) header += R"("__metadata__":{"format":"pt"},)";
  const int tensors = source.below(9);
  for (int i = 0; i < tensors; ++i) {
    const int dtype = source.below(14);
    std::string shape = "[";
    std::int64_t bytes = kSizes[dtype];
    for (int rank = source.below(4); rank > 0; --rank) {
      const int dimension = source.below(6);
      shape += (shape.size() > 1 ? "," : "") + std::to_string(dimension);
      bytes *= dimension;
    }
    const std::int64_t skew = source.rarely(30) ? source.below(5) - 2 : 0;
    const std::string name =
        source.rarely(12) ? kNames[source.below(13)] : "layers." + std::to_string(i) + ".w";
    const std::string parts[] = {
        field(source, "dtype", '"' + std::string(kDtypes[dtype]) + '"'),
        field(source, "shape", shape + ']'),
        field(source, "data_offsets",
              '[' + std::to_string(place + skew) + ',' + std::to_string(place + bytes) + ']')};
    const int first = source.below(3);
    header += (i > 0 ? ",\"" : "\"") + name + "\":{" + parts[first] + ',' + parts[(first + 1) % 3];
    if (!source.rarely(40)) header += ',' + parts[(first + 2) % 3];
    header += source.rarely(60) ? "" : "}";
    place += bytes;
  }
  header += '}';
  if (source.rarely(8)) header.append(static_cast<std::size_t>(source.below(9)), ' ');
  const std::int64_t wrong = source.rarely(20) ? source.below(9) - 4 : 0;
  std::string file = with_length(header, header.size() + (source.rarely(40) ? 1 : 0));
  file.append(static_cast<std::size_t>(std::max<std::int64_t>(place + wrong, 0)), 'x');
  return file;
}

std::string file_of(std::string_view input) {
  ByteSource source(input);
  switch (source.byte() % 3) {
    case 0:
      return std::string(input.substr(std::min<std::size_t>(1, input.size())));
    case 1: {
      const auto buffer = static_cast<std::size_t>(source.byte());
      const std::string_view text = source.take(input.size());
      return with_length(text, text.size()).append(buffer, 'x');
    }
    default:
      return generated(source);
  }
}

void check(const formats::SafetensorsFile& file, std::int64_t file_bytes) {
  require(file.file_bytes() == file_bytes);
  std::int64_t place = file.tensors().empty() ? file_bytes : file.tensors()[0].begin;
  for (const formats::TensorInfo& tensor : file.tensors()) {
    require(tensor.begin == place && tensor.end >= tensor.begin && tensor.end <= file_bytes);
    std::int64_t elements = 1;
    for (const std::int64_t dimension : tensor.shape) elements *= dimension;
    require(elements * formats::dtype_bytes(tensor.dtype) == tensor.bytes());
    require(file.find(tensor.name) == &tensor);
    std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.bytes()));
    file.read_bytes(tensor, 0, bytes);
    place = tensor.end;
  }
  require(place == file_bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int memory = ::memfd_create("fuzz", MFD_CLOEXEC);
  const std::string bytes = file_of({reinterpret_cast<const char*>(data), size});
  require(::ftruncate(memory, 0) == 0);
  require(::pwrite(memory, bytes.data(), bytes.size(), 0) == std::ssize(bytes));
  try {
    const formats::SafetensorsFile file(formats::FileHandle(::dup(memory), "x.safetensors"));
    check(file, std::ssize(bytes));
  } catch (const Failure& failure) {
    require(failure.code() == ExitCode::bad_data);
    require(std::string_view(failure.what()).starts_with("x.safetensors: "));
  }
  return 0;
}
