#include "pipeline/formats/safetensors_file.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>
#include <utility>

#include "pipeline/failure.hpp"
#include "pipeline/formats/safetensors_header.hpp"

namespace shardquant::formats {

static_assert(std::endian::native == std::endian::little,
              "tensors are read as they lie in the file");

SafetensorsFile::SafetensorsFile(FileHandle file) : file_(std::move(file)) {
  file_bytes_ = file_.size();
  std::array<char, 64> beginning{};
  const std::int64_t known = std::min<std::int64_t>(file_bytes_, std::ssize(beginning));
  file_.read_exact(0, std::as_writable_bytes(std::span(beginning)).first(known));
  detail::refuse_impostor({beginning.data(), static_cast<std::size_t>(known)}, name());
  if (file_bytes_ < 8) {
    fail(ExitCode::bad_data, "{}: {} bytes are too few for a safetensors file", name(),
         file_bytes_);
  }
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, beginning.data(), sizeof header_bytes);
  if (header_bytes > static_cast<std::uint64_t>(kMaxHeaderBytes)) {
    fail(ExitCode::bad_data, "{}: a header of {} bytes; at most {} are accepted", name(),
         header_bytes, kMaxHeaderBytes);
  }
  if (static_cast<std::int64_t>(header_bytes) > file_bytes_ - 8) {
    fail(ExitCode::bad_data, "{}: the header ends {} bytes beyond the end of the file", name(),
         static_cast<std::int64_t>(header_bytes) - (file_bytes_ - 8));
  }
  if (header_bytes == 0 || beginning[8] != '{') {
    fail(ExitCode::bad_data, "{}: the header does not begin with '{{'; not a safetensors file",
         name());
  }
  std::string header(header_bytes, '\0');
  file_.read_exact(8, std::as_writable_bytes(std::span(header)));
  tensors_ = detail::parse_safetensors_header(header, name(), file_bytes_);

  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  std::sort(by_name_.begin(), by_name_.end(), [this](std::uint32_t a, std::uint32_t b) {
    return tensors_[a].name < tensors_[b].name;
  });
}

const TensorInfo* SafetensorsFile::find(std::string_view tensor) const {
  const auto place = std::lower_bound(
      by_name_.begin(), by_name_.end(), tensor,
      [this](std::uint32_t i, std::string_view name) { return tensors_[i].name < name; });
  if (place == by_name_.end() || tensors_[*place].name != tensor) return nullptr;
  return &tensors_[*place];
}

void SafetensorsFile::read_bytes(const TensorInfo& tensor, std::int64_t offset,
                                 std::span<std::byte> out) const {
  const std::int64_t count = std::ssize(out);
  if (offset < 0 || offset > tensor.bytes() || count > tensor.bytes() - offset) {
    fail(ExitCode::internal, "{}: tensor {}: bytes {} to {} asked of {}", name(), tensor.name,
         offset, offset + count, tensor.bytes());
  }
  file_.read_exact(tensor.begin + offset, out);
}

}  // namespace shardquant::formats
