#include "pipeline/formats/weights/gguf/gguf_cursor.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "pipeline/failure.hpp"
#include "pipeline/formats/safetensors_header.hpp"
#include "pipeline/formats/weights/gguf/gguf_header.hpp"

namespace shardquant::gguf::detail {

namespace {

constexpr std::int64_t kBufferBytes = 1 << 16;

}  // namespace

GgufCursor::GgufCursor(const formats::FileHandle& file) : file_(file), file_bytes_(file.size()) {
  std::array<char, 64> beginning{};
  const std::int64_t known = std::min<std::int64_t>(file_bytes_, std::ssize(beginning));
  file_.read_exact(0, std::as_writable_bytes(std::span(beginning)).first(known));
  const std::string_view seen(beginning.data(), known);
  formats::detail::refuse_impostor(seen, this->file());
  if (!seen.starts_with(kGgufMagic)) {
    fail(ExitCode::bad_data, "{}: does not begin with GGUF; not a GGUF file", this->file());
  }
  place_ = std::ssize(kGgufMagic);
  const auto version = number<std::uint32_t>();
  if (version == kGgufVersion) return;
  if ((version & 0xffffu) == 0) refuse("is big endian; only little endian is read");
  refuse(fmt::format("is of version {}; only {} is read", version, kGgufVersion));
}

std::string GgufCursor::text() {
  std::string bytes;
  append_bytes(number<std::uint64_t>(), 1, bytes);
  return bytes;
}

void GgufCursor::append_bytes(std::uint64_t count, std::int64_t unit, std::string& bytes) {
  require_left(count, unit);
  const std::size_t before = bytes.size();
  const auto more = static_cast<std::int64_t>(count) * unit;
  bytes.resize(before + more);
  read(more, bytes.data() + before);
}

void GgufCursor::require_count(std::string_view what, std::uint64_t count,
                               std::int64_t most) const {
  if (count <= static_cast<std::uint64_t>(most)) return;
  fail(ExitCode::bad_data, "{}: {} {}; at most {} are accepted", file(), count, what, most);
}

void GgufCursor::refuse(std::string_view reason) const {
  fail(ExitCode::bad_data, "{}: {}: {}", file(), what_, reason);
}

void GgufCursor::require_left(std::uint64_t count, std::uint64_t unit) const {
  const auto in_file = static_cast<std::uint64_t>(file_bytes_ - place_);
  if (count > in_file / unit) {
    refuse(
        fmt::format("{} times {} bytes reach beyond the end of the file; it was cut", count, unit));
  }
  const auto in_header = static_cast<std::uint64_t>(kMaxGgufHeaderBytes - place_);
  if (count > in_header / unit) {
    refuse(fmt::format("{} times {} bytes; headers of at most {} are accepted", count, unit,
                       kMaxGgufHeaderBytes));
  }
}

void GgufCursor::read(std::int64_t count, char* out) {
  require_left(count, 1);
  while (count > 0) {
    const std::int64_t buffer_end = buffer_begin_ + std::ssize(buffer_);
    if (place_ < buffer_begin_ || place_ >= buffer_end) {
      buffer_begin_ = place_;
      buffer_.resize(std::min(kBufferBytes, file_bytes_ - place_));
      file_.read_exact(buffer_begin_, std::as_writable_bytes(std::span(buffer_)));
      continue;
    }
    const std::int64_t part = std::min(count, buffer_end - place_);
    std::memcpy(out, buffer_.data() + (place_ - buffer_begin_), part);
    out += part;
    place_ += part;
    count -= part;
  }
}

}  // namespace shardquant::gguf::detail
