#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shardquant::tests {

/// A number as it lies in a GGUF file.
template <class T>
std::string raw(T number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

/// A string as it lies in a GGUF file.
inline std::string raw_text(std::string_view text) {
  return raw<std::uint64_t>(text.size()).append(text);
}

/// The parts of a GGUF file, right or wrong.
struct GgufDraft {
  struct Entry {
    std::string key;
    std::uint32_t type = 4;
    std::string value;
  };
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> dims;
    std::uint32_t type = 0;
    std::uint64_t offset = 0;
    std::optional<std::uint32_t> rank;  ///< other than the number of dims
  };

  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::optional<std::uint64_t> tensor_count;  ///< other than there are
  std::optional<std::uint64_t> entry_count;
  std::vector<Entry> entries;
  std::vector<Tensor> tensors;
  std::size_t alignment = 32;
  std::string data;

  std::string header() const {
    std::string text = magic + raw(version) +
                       raw<std::uint64_t>(tensor_count.value_or(tensors.size())) +
                       raw<std::uint64_t>(entry_count.value_or(entries.size()));
    for (const Entry& entry : entries) text += raw_text(entry.key) + raw(entry.type) + entry.value;
    for (const Tensor& tensor : tensors) {
      text += raw_text(tensor.name);
      text += raw(tensor.rank.value_or(static_cast<std::uint32_t>(tensor.dims.size())));
      for (const std::uint64_t dimension : tensor.dims) text += raw(dimension);
      text += raw(tensor.type) + raw(tensor.offset);
    }
    return text;
  }
  std::string bytes() const {
    std::string text = header();
    text.resize((text.size() + alignment - 1) / alignment * alignment, '\0');
    return text + data;
  }
};

}  // namespace shardquant::tests
