#include "pipeline/formats/weights/gguf/gguf_file.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "pipeline/failure.hpp"

namespace shardquant::gguf {

GgufFile::GgufFile(formats::FileHandle file)
    : file_(std::move(file)), header_(read_gguf_header(file_)) {
  by_name_.resize(header_.tensors.size());
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  std::sort(by_name_.begin(), by_name_.end(), [this](std::uint32_t a, std::uint32_t b) {
    return header_.tensors[a].name < header_.tensors[b].name;
  });
}

const GgufTensor* GgufFile::find(std::string_view tensor) const {
  const auto place = std::lower_bound(
      by_name_.begin(), by_name_.end(), tensor,
      [this](std::uint32_t i, std::string_view name) { return header_.tensors[i].name < name; });
  if (place == by_name_.end() || header_.tensors[*place].name != tensor) return nullptr;
  return &header_.tensors[*place];
}

void GgufFile::read_bytes(const GgufTensor& tensor, std::int64_t offset,
                          std::span<std::byte> out) const {
  const std::int64_t count = std::ssize(out);
  const std::int64_t bytes = tensor.end - tensor.begin;
  if (offset < 0 || offset > bytes || count > bytes - offset) {
    fail(ExitCode::internal, "{}: tensor {}: bytes {} to {} asked of {}", name(), tensor.name,
         offset, offset + count, bytes);
  }
  file_.read_exact(tensor.begin + offset, out);
}

}  // namespace shardquant::gguf
