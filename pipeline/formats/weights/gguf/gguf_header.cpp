#include "pipeline/formats/weights/gguf/gguf_header.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/formats/weights/gguf/gguf_cursor.hpp"

namespace shardquant::gguf {

namespace {

using detail::GgufCursor;

std::string name_fault(std::string_view name, std::int64_t most_bytes) {
  if (name.empty()) return "an empty name";
  if (std::ssize(name) > most_bytes) return fmt::format("a name longer than {} bytes", most_bytes);
  const bool control = std::any_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  return control ? "a name with a control character" : "";
}

void require_name(const GgufCursor& cursor, std::string_view what, const std::string& name,
                  std::int64_t most_bytes) {
  const std::string fault = name_fault(name, most_bytes);
  if (!fault.empty()) {
    fail(ExitCode::bad_data, "{}: a {} has {}: {}", cursor.file(), what, fault,
         formats::json_quote(std::string_view(name).substr(0, 64)));
  }
}

void require_booleans(const GgufCursor& cursor, std::string_view bytes) {
  const bool all = std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0 || c == 1; });
  if (!all) cursor.refuse("a bool is neither 0 nor 1");
}

// Appends the bytes of `count` values of a type to `value`.
void read_values_of(GgufCursor& cursor, GgufValueType type, std::uint64_t count,
                    std::string& value) {
  if (type == GgufValueType::string) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto length = cursor.append<std::uint64_t>(value);
      cursor.append_bytes(length, 1, value);
    }
    return;
  }
  const std::int64_t bytes = gguf_value_bytes(type);
  if (bytes == 0) {
    cursor.refuse(type == GgufValueType::array ? "an array of arrays is not supported"
                                               : "has the unknown " + gguf_value_type_name(type));
  }
  const std::size_t before = value.size();
  cursor.append_bytes(count, bytes, value);
  if (type == GgufValueType::boolean) {
    require_booleans(cursor, std::string_view(value).substr(before));
  }
}

GgufEntry read_entry(GgufCursor& cursor) {
  GgufEntry entry;
  cursor.set_place("the name of a key");
  entry.key = cursor.text();
  require_name(cursor, "key", entry.key, kMaxGgufKeyBytes);
  cursor.set_place("key " + formats::json_quote(entry.key));
  entry.type = static_cast<GgufValueType>(cursor.number<std::uint32_t>());
  if (entry.type == GgufValueType::array) {
    const auto type = static_cast<GgufValueType>(cursor.append<std::uint32_t>(entry.value));
    const auto count = cursor.append<std::uint64_t>(entry.value);
    read_values_of(cursor, type, count, entry.value);
  } else {
    read_values_of(cursor, entry.type, 1, entry.value);
  }
  return entry;
}

void read_dimensions(GgufCursor& cursor, GgufTensor& tensor) {
  const auto rank = cursor.number<std::uint32_t>();
  if (rank < 1 || rank > kMaxGgufRank) {
    cursor.refuse(fmt::format("has {} dimensions; from 1 to {} are read", rank, kMaxGgufRank));
  }
  for (std::uint32_t i = 0; i < rank; ++i) {
    const auto dimension = cursor.number<std::uint64_t>();
    if (dimension < 1 || !std::in_range<std::int64_t>(dimension)) {
      cursor.refuse(fmt::format("dimension {} is {}", i, dimension));
    }
    tensor.dims.push_back(static_cast<std::int64_t>(dimension));
  }
}

// The bytes a tensor takes, where they are a number of 63 bits.
std::int64_t checked_bytes(const GgufCursor& cursor, const GgufTensor& tensor) {
  const std::int64_t block = gguf_block_elements(tensor.type);
  if (tensor.row_elements() % block != 0) {
    cursor.refuse(
        fmt::format("{}: rows are no multiple of the block of {}", describe_gguf(tensor), block));
  }
  std::int64_t bytes = tensor.row_elements() / block;
  bool overflows = __builtin_mul_overflow(bytes, gguf_block_bytes(tensor.type), &bytes);
  for (std::size_t i = 1; i < tensor.dims.size(); ++i) {
    overflows = overflows || __builtin_mul_overflow(bytes, tensor.dims[i], &bytes);
  }
  if (overflows) cursor.refuse(describe_gguf(tensor) + ": its size in bytes overflows");
  return bytes;
}

// The tensor's places are still those in the data, and its end is begin + bytes.
GgufTensor read_tensor(GgufCursor& cursor) {
  GgufTensor tensor;
  cursor.set_place("the name of a tensor");
  tensor.name = cursor.text();
  require_name(cursor, "tensor", tensor.name, kMaxGgufNameBytes);
  cursor.set_place("tensor " + formats::json_quote(tensor.name));
  read_dimensions(cursor, tensor);
  const auto number = cursor.number<std::uint32_t>();
  const auto type = gguf_type_from_number(number);
  if (!type) cursor.refuse(fmt::format("is of the unknown type {}", number));
  tensor.type = *type;
  const auto offset = cursor.number<std::uint64_t>();
  const std::int64_t bytes = checked_bytes(cursor, tensor);
  if (offset > static_cast<std::uint64_t>(INT64_MAX - bytes)) {
    cursor.refuse(fmt::format("begins at byte {} of the data", offset));
  }
  tensor.begin = static_cast<std::int64_t>(offset);
  tensor.end = tensor.begin + bytes;
  return tensor;
}

void check_names(const std::vector<GgufTensor>& tensors, const std::string& file) {
  std::vector<std::string_view> names;
  for (const GgufTensor& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) {
    fail(ExitCode::bad_data, "{}: tensor {}: given twice", file, formats::json_quote(*twice));
  }
}

// Tensors lie in the order of their names in the header, each padded to the alignment.
void check_tiling(const GgufHeader& header, const std::string& file, std::int64_t file_bytes) {
  const std::int64_t data_bytes = std::max<std::int64_t>(file_bytes - header.data_begin, 0);
  std::int64_t place = 0;
  for (const GgufTensor& tensor : header.tensors) {
    const auto refuse = [&](const std::string& reason) {
      fail(ExitCode::bad_data, "{}: tensor {}: {}", file, formats::json_quote(tensor.name), reason);
    };
    if (tensor.begin % header.alignment != 0) {
      refuse(fmt::format("begins at byte {} of the data, no multiple of the alignment of {}",
                         tensor.begin, header.alignment));
    }
    if (tensor.begin != place) {
      refuse(fmt::format(
          "begins at byte {} of the data, {} at {}", tensor.begin,
          tensor.begin < place ? "overlapping the tensor that ends" : "leaving a hole from the end",
          place));
    }
    if (tensor.end > data_bytes) {
      refuse(fmt::format("ends {} bytes beyond the end of the file; the download is incomplete",
                         tensor.end - data_bytes));
    }
    place = gguf_padded(tensor.end, header.alignment);
  }
  if (data_bytes > place) {
    fail(ExitCode::bad_data, "{}: {} bytes after the last tensor belong to none", file,
         data_bytes - place);
  }
}

template <class T>
void put(std::string& text, T number) {
  text.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void put_text(std::string& text, std::string_view part) {
  put<std::uint64_t>(text, part.size());
  text += part;
}

}  // namespace

std::int64_t gguf_alignment(const GgufMetadata& metadata, const std::string& file) {
  const GgufEntry* entry = metadata.find(kGgufAlignmentKey);
  if (entry == nullptr) return kDefaultGgufAlignment;
  const std::int64_t alignment = metadata.find_integer(kGgufAlignmentKey).value();
  const bool power_of_two = std::has_single_bit(static_cast<std::uint64_t>(alignment));
  if (entry->type != GgufValueType::u32 || !power_of_two) {
    fail(ExitCode::bad_data, "{}: key {}: {} of type {}; must be a power of two, uint32", file,
         formats::json_quote(kGgufAlignmentKey), alignment, gguf_value_type_name(entry->type));
  }
  return alignment;
}

GgufHeader read_gguf_header(const formats::FileHandle& file) {
  GgufCursor cursor(file);
  const auto tensors = cursor.number<std::uint64_t>();
  const auto entries = cursor.number<std::uint64_t>();
  cursor.require_count("tensors", tensors, kMaxGgufTensors);
  cursor.require_count("keys", entries, kMaxGgufEntries);
  std::vector<GgufEntry> read;
  for (std::uint64_t i = 0; i < entries; ++i) read.push_back(read_entry(cursor));
  GgufHeader header;
  header.metadata = GgufMetadata(std::move(read), file.name());
  header.alignment = gguf_alignment(header.metadata, file.name());
  for (std::uint64_t i = 0; i < tensors; ++i) header.tensors.push_back(read_tensor(cursor));
  header.data_begin = gguf_padded(cursor.bytes_read(), header.alignment);
  check_names(header.tensors, file.name());
  check_tiling(header, file.name(), cursor.file_bytes());
  for (GgufTensor& tensor : header.tensors) {
    tensor.begin += header.data_begin;
    tensor.end += header.data_begin;
  }
  return header;
}

std::string gguf_header_text(const GgufMetadata& metadata,
                             std::span<const GgufTensorSpec> tensors) {
  const std::int64_t alignment = gguf_alignment(metadata, "the metadata to be written");
  std::string text(kGgufMagic);
  put(text, kGgufVersion);
  put<std::uint64_t>(text, tensors.size());
  put<std::uint64_t>(text, metadata.entries().size());
  for (const GgufEntry& entry : metadata.entries()) {
    put_text(text, entry.key);
    put(text, entry.type);
    text += entry.value;
  }
  std::int64_t offset = 0;
  for (const GgufTensorSpec& tensor : tensors) {
    put_text(text, tensor.name);
    put<std::uint32_t>(text, static_cast<std::uint32_t>(tensor.dims.size()));
    for (const std::int64_t dimension : tensor.dims) put(text, dimension);
    put(text, tensor.type);
    put(text, offset);
    offset += gguf_padded(tensor.bytes(), alignment);
  }
  text.resize(gguf_padded(std::ssize(text), alignment), '\0');
  return text;
}

}  // namespace shardquant::gguf
