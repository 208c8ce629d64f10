// The table of pipeline/model/families/families.cpp with one row more.
#include "pipeline/model/families/families.hpp"

#include <array>

#include "pipeline/model/families/llama.hpp"

namespace shardquant::model {

extern const Family kSideBySide;

std::span<const Family* const> families() {
  static constexpr std::array kFamilies{&kLlama, &kSideBySide};
  return kFamilies;
}

}  // namespace shardquant::model
