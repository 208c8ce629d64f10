#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "pipeline/failure.hpp"

namespace shardquant::tests {

/// Bytes of a safetensors file made of any header text and any buffer, however wrong.
inline std::string safetensors_bytes(std::string_view header, std::string_view buffer = "") {
  const std::uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  bytes += header;
  bytes += buffer;
  return bytes;
}

inline void write_bytes(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// What `call` fails with; code done and no text where it does not.
struct Outcome {
  ExitCode code = ExitCode::done;
  std::string text;
};

template <class Call>
Outcome outcome_of(Call call) {
  try {
    call();
  } catch (const Failure& failure) {
    return {failure.code(), failure.what()};
  }
  return {};
}

}  // namespace shardquant::tests
