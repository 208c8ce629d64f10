#include "pipeline/checkpoint/build_identity.hpp"

#include <elf.h>
#include <link.h>

#include <cstring>

#include "pipeline/failure.hpp"

namespace shardquant::checkpoint {

namespace {

std::size_t aligned(std::size_t bytes) {
  return (bytes + 3) & ~std::size_t{3};
}

// The build id among the notes of one segment; empty where there is none.
std::string find_build_id(const unsigned char* notes, std::size_t bytes) {
  while (bytes >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    std::memcpy(&header, notes, sizeof header);
    const std::size_t name_at = sizeof header;
    const std::size_t data_at = name_at + aligned(header.n_namesz);
    const std::size_t size = data_at + aligned(header.n_descsz);
    if (size > bytes) return {};
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
        std::memcmp(notes + name_at, "GNU", 4) == 0) {
      std::string text;
      for (std::size_t i = 0; i < header.n_descsz; ++i) {
        text += fmt::format("{:02x}", notes[data_at + i]);
      }
      return text;
    }
    notes += size;
    bytes -= size;
  }
  return {};
}

// The program itself is the first object that is visited.
int visit_program(dl_phdr_info* info, std::size_t, void* found) {
  for (ElfW(Half) i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto id = find_build_id(
        reinterpret_cast<const unsigned char*>(info->dlpi_addr + segment.p_vaddr), segment.p_memsz);
    if (!id.empty()) *static_cast<std::string*>(found) = id;
  }
  return 1;
}

}  // namespace

std::string build_identity() {
  std::string id;
  ::dl_iterate_phdr(visit_program, &id);
  return fmt::format("{} {}", SHARDQUANT_VERSION, id.empty() ? "unknown" : id);
}

}  // namespace shardquant::checkpoint
