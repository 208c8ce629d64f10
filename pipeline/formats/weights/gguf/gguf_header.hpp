#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/weights/gguf/gguf_metadata.hpp"
#include "pipeline/formats/weights/gguf/gguf_tensor.hpp"

namespace shardquant::gguf {

/// The four bytes a file begins with, and the version that is read and written.
inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr std::uint32_t kGgufVersion = 3;

/// Every tensor begins at a multiple of it in the file.
inline constexpr std::string_view kGgufAlignmentKey = "general.alignment";
/// Longest header accepted, bytes; those of vocabularies of 262144 tokens are below 16 MiB.
inline constexpr std::int64_t kMaxGgufHeaderBytes = std::int64_t{1} << 28;
/// Tensors and keys accepted in one file.
inline constexpr std::int64_t kMaxGgufTensors = 262'144;
inline constexpr std::int64_t kMaxGgufEntries = 65'536;
/// Longest key, bytes; the format's limit.
inline constexpr std::int64_t kMaxGgufKeyBytes = 65'535;

/// All of a file before its tensors' data.
struct GgufHeader {
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;  ///< in the order of the file, which is that of their data
  std::int64_t alignment = kDefaultGgufAlignment;
  std::int64_t data_begin = 0;
};

/// Reads and checks what is before the data, as GgufFile says. @throws Failure(bad_data)
GgufHeader read_gguf_header(const formats::FileHandle& file);

/// The header of a file with these tensors, zeros up to the first tensor's data included.
/// Offsets are those of tensors one behind the other, each padded to the alignment of the metadata.
std::string gguf_header_text(const GgufMetadata& metadata, std::span<const GgufTensorSpec> tensors);

/// general.alignment. @throws Failure(bad_data) where it is no uint32 or no power of two
std::int64_t gguf_alignment(const GgufMetadata& metadata, const std::string& file);

/// `bytes` rounded up to a multiple of the alignment.
constexpr std::int64_t gguf_padded(std::int64_t bytes, std::int64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace shardquant::gguf
