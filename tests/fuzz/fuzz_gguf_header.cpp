// Feeds whole GGUF files to the reader. The first byte says how the rest becomes a file: as it is,
// or as decisions of a generator whose headers are right but for a few places. What is accepted
// must tile its data, decode, and be laid out again to the same bytes.

#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "pipeline/failure.hpp"
#include "pipeline/formats/weights/gguf/gguf_codec.hpp"
#include "pipeline/formats/weights/gguf/gguf_file.hpp"
#include "tests/fuzz/byte_source.hpp"
#include "tests/fuzz/scratch_folder.hpp"
#include "tests/support/gguf_bytes.hpp"

namespace {

using namespace shardquant;
using fuzz::ByteSource;
using fuzz::require;
using tests::GgufDraft;
using tests::raw;
using tests::raw_text;

constexpr const char* kKeys[] = {
    "general.architecture", "general.alignment", "split.count", "a.b", "", "a.b", "k\n"};
constexpr std::uint64_t kWrongNumbers[] = {
    0, 1, 32, UINT32_MAX, std::uint64_t{1} << 32, INT64_MAX, std::uint64_t{1} << 63, UINT64_MAX};
constexpr std::uint32_t kTypes[] = {0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 30, 20, 24, 5};

std::uint64_t number(ByteSource& source, std::uint64_t right) {
  return source.rarely(60) ? kWrongNumbers[source.below(8)] : right;
}

std::string value(ByteSource& source, std::uint32_t type, int depth = 0) {
  if (type == 8) return raw(number(source, 3)) + "abc";
  if (type == 9 && depth < 2) {
    const auto element = static_cast<std::uint32_t>(source.below(14));
    const int count = source.below(5);
    std::string text = raw(element) + raw(number(source, count));
    for (int i = 0; i < count; ++i) text += value(source, element, depth + 1);
    return text;
  }
  const auto bytes = gguf::gguf_value_bytes(static_cast<gguf::GgufValueType>(type));
  std::string text;
  for (std::int64_t i = 0; i < bytes; ++i) text += static_cast<char>(source.byte());
  return text;
}

std::string generated(ByteSource source) {
  GgufDraft draft;
  if (source.rarely(4)) {
    const std::uint32_t alignment = 1u << source.below(9);
    draft.entries.push_back({"general.alignment", 4, raw(alignment)});
    draft.alignment = alignment;
  }
  for (int entries = source.below(4); entries > 0; --entries) {
    const auto type = static_cast<std::uint32_t>(source.below(14));
    const std::string key =
        source.rarely(8) ? kKeys[source.below(7)] : "key." + std::to_string(entries);
    draft.entries.push_back({key, type, value(source, type)});
  }
  std::uint64_t place = 0;
  for (int tensors = source.below(6); tensors > 0; --tensors) {
    GgufDraft::Tensor tensor;
    tensor.name = source.rarely(20) ? "w" : "blk." + std::to_string(tensors) + ".w";
    tensor.type = kTypes[source.below(16)];
    const auto type = gguf::gguf_type_from_number(tensor.type);
    std::uint64_t bytes = 0;
    std::uint64_t rows = 1;
    const int blocks = 1 + source.below(2);
    if (type) {
      bytes = blocks * gguf::gguf_block_bytes(*type);
      tensor.dims.push_back(number(source, blocks * gguf::gguf_block_elements(*type)));
    }
    for (int rank = source.below(4); rank > 0; --rank) {
      const auto dimension = static_cast<std::uint64_t>(1 + source.below(3));
      tensor.dims.push_back(number(source, dimension));
      rows *= dimension;
    }
    tensor.offset = number(source, place);
    place += bytes * rows;
    draft.data.resize(place, 'x');
    place = (place + draft.alignment - 1) / draft.alignment * draft.alignment;
    draft.tensors.push_back(tensor);
  }
  if (source.rarely(30)) draft.tensor_count = number(source, 1);
  if (source.rarely(30)) draft.entry_count = number(source, 1);
  if (source.rarely(20)) draft.data.resize(draft.data.size() + source.below(64), 'x');
  return draft.bytes();
}

std::string file_of(std::string_view input) {
  ByteSource source(input);
  if (source.byte() % 2 == 0) return std::string(source.take(input.size()));
  return generated(source);
}

void check(const gguf::GgufFile& file, const std::string& bytes) {
  std::vector<gguf::GgufTensorSpec> specs;
  for (const gguf::GgufTensor& tensor : file.tensors()) {
    require(tensor.end <= std::ssize(bytes) && tensor.end - tensor.begin == tensor.bytes());
    require(tensor.begin % file.alignment() == 0);
    require(file.find(tensor.name) == &tensor);
    std::vector<std::byte> data(tensor.bytes());
    file.read_bytes(tensor, 0, data);
    if (gguf::is_decoded_gguf(tensor.type)) {
      std::vector<float> values(tensor.rows() * tensor.row_elements());
      gguf::decode_gguf(tensor.type, data, values);
    }
    specs.push_back(tensor);
  }
  // Only what fills up to the first tensor may differ.
  const std::string header = gguf::gguf_header_text(file.metadata(), specs);
  const std::size_t written = header.find_last_not_of('\0') + 1;
  require(bytes.compare(0, written, header, 0, written) == 0);
  require(specs.empty() || std::ssize(header) == file.tensors().front().begin);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int memory = ::memfd_create("fuzz", MFD_CLOEXEC);
  const std::string bytes = file_of({reinterpret_cast<const char*>(data), size});
  require(::ftruncate(memory, 0) == 0);
  require(::pwrite(memory, bytes.data(), bytes.size(), 0) == std::ssize(bytes));
  try {
    const gguf::GgufFile file(formats::FileHandle(::dup(memory), "x.gguf"));
    check(file, bytes);
  } catch (const Failure& failure) {
    require(failure.code() == ExitCode::bad_data);
    require(std::string_view(failure.what()).starts_with("x.gguf: "));
  }
  return 0;
}
