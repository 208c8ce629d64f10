#include "pipeline/formats/weights/gguf/gguf_type.hpp"

#include <algorithm>
#include <array>

namespace shardquant::gguf {

namespace {

struct TypeEntry {
  std::uint32_t number;
  std::string_view name;
  std::int64_t block_elements;
  std::int64_t block_bytes;
};

// Numbers that are missing were withdrawn from the format.
constexpr std::array<TypeEntry, 34> kTypes = {
    {{0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},
     {3, "Q4_1", 32, 20},      {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},
     {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 40},      {10, "Q2_K", 256, 84},
     {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
     {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66},
     {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},
     {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},  {22, "IQ2_S", 256, 82},
     {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
     {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},
     {29, "IQ1_M", 256, 56},   {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},
     {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},    {40, "NVFP4", 64, 36},
     {41, "Q1_0", 128, 18}}};

const TypeEntry& entry_of(GgufType type) {
  const auto number = static_cast<std::uint32_t>(type);
  return *std::find_if(kTypes.begin(), kTypes.end(),
                       [&](const TypeEntry& entry) { return entry.number == number; });
}

template <class Is>
std::optional<GgufType> find_type(Is is) {
  const auto entry = std::find_if(kTypes.begin(), kTypes.end(), is);
  if (entry == kTypes.end()) return std::nullopt;
  return static_cast<GgufType>(entry->number);
}

}  // namespace

std::optional<GgufType> gguf_type_from_number(std::uint32_t number) {
  return find_type([&](const TypeEntry& entry) { return entry.number == number; });
}

std::optional<GgufType> gguf_type_from_name(std::string_view name) {
  return find_type([&](const TypeEntry& entry) { return entry.name == name; });
}

std::string_view gguf_type_name(GgufType type) {
  return entry_of(type).name;
}

std::int64_t gguf_block_elements(GgufType type) {
  return entry_of(type).block_elements;
}

std::int64_t gguf_block_bytes(GgufType type) {
  return entry_of(type).block_bytes;
}

std::int64_t gguf_bytes(GgufType type, std::int64_t elements) {
  const TypeEntry& entry = entry_of(type);
  return elements / entry.block_elements * entry.block_bytes;
}

}  // namespace shardquant::gguf
