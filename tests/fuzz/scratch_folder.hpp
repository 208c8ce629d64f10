#pragma once

#include <stdlib.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

namespace shardquant::fuzz {

/// Ends the run where something that must hold does not; the fuzzer keeps the input.
inline void require(bool condition) {
  if (!condition) std::abort();
}

/// A folder of this process in memory, for readers that take a path; removed at the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::error_code none;
    const bool in_memory = std::filesystem::is_directory("/dev/shm", none);
    std::string name =
        in_memory ? "/dev/shm/shardquant-fuzz-XXXXXX" : "/tmp/shardquant-fuzz-XXXXXX";
    require(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::filesystem::path file(std::string_view name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

  void put(std::string_view name, std::string_view bytes) const {
    std::FILE* stream = std::fopen(file(name).c_str(), "wb");
    require(stream != nullptr);
    require(std::fwrite(bytes.data(), 1, bytes.size(), stream) == bytes.size());
    require(std::fclose(stream) == 0);
  }

 private:
  std::filesystem::path path_;
};

}  // namespace shardquant::fuzz
