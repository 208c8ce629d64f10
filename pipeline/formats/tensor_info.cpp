#include "pipeline/formats/tensor_info.hpp"

#include <array>

namespace shardquant::formats {

namespace {

struct DtypeEntry {
  std::string_view name;
  std::int64_t bytes;
};

// In the order of Dtype.
constexpr std::array<DtypeEntry, 17> kDtypes = {{{"BOOL", 1},
                                                 {"U8", 1},
                                                 {"I8", 1},
                                                 {"F8_E5M2", 1},
                                                 {"F8_E4M3", 1},
                                                 {"F8_E8M0", 1},
                                                 {"I16", 2},
                                                 {"U16", 2},
                                                 {"F16", 2},
                                                 {"BF16", 2},
                                                 {"I32", 4},
                                                 {"U32", 4},
                                                 {"F32", 4},
                                                 {"C64", 8},
                                                 {"F64", 8},
                                                 {"I64", 8},
                                                 {"U64", 8}}};

}  // namespace

std::string_view dtype_name(Dtype dtype) {
  return kDtypes[static_cast<std::size_t>(dtype)].name;
}

std::int64_t dtype_bytes(Dtype dtype) {
  return kDtypes[static_cast<std::size_t>(dtype)].bytes;
}

std::optional<Dtype> dtype_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kDtypes.size(); ++i) {
    if (kDtypes[i].name == name) return static_cast<Dtype>(i);
  }
  return std::nullopt;
}

std::int64_t TensorSpec::bytes() const {
  std::int64_t bytes = dtype_bytes(dtype);
  for (const std::int64_t dimension : shape) bytes *= dimension;
  return bytes;
}

std::string describe_tensor(Dtype dtype, const std::vector<std::int64_t>& shape) {
  std::string text(dtype_name(dtype));
  text += " [";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + ']';
}

}  // namespace shardquant::formats
