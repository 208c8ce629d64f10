// Feeds arbitrary bytes to the reader of tokens, as a stream of int32 or as safetensors (first byte
// odd), and reads rows of a length that the second byte gives.

#include <string>
#include <vector>

#include "pipeline/failure.hpp"
#include "pipeline/formats/token_stream.hpp"
#include "tests/fuzz/byte_source.hpp"
#include "tests/fuzz/scratch_folder.hpp"

namespace {

using namespace shardquant;
using fuzz::require;

constexpr std::int64_t kVocab = 512;
constexpr std::int64_t kMostRows = 64;

void read(const std::filesystem::path& path, std::int64_t length) {
  const formats::TokenStream tokens(path);
  const std::int64_t rows = tokens.rows_of(length);
  require(rows >= 0 && rows * length <= tokens.tokens());
  std::vector<std::int32_t> row(static_cast<std::size_t>(length));
  for (std::int64_t r = 0; r < std::min(rows, kMostRows); ++r) {
    tokens.read_row(r, kVocab, row);
    for (const std::int32_t id : row) require(id >= 0 && id < kVocab);
  }
  tokens.require_rows(rows + 1, length);
  require(false);  // more rows than there are
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::ScratchFolder scratch;
  fuzz::ByteSource source({reinterpret_cast<const char*>(data), size});
  const std::string name = source.byte() % 2 == 1 ? "t.safetensors" : "t.i32";
  const std::int64_t length = 1 + source.byte();
  scratch.put(name, source.take(size));
  try {
    read(scratch.file(name), length);
  } catch (const Failure& failure) {
    require(failure.code() == ExitCode::bad_data);
    require(std::string_view(failure.what()).starts_with(scratch.path().string()));
  }
  return 0;
}
