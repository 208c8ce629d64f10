#include "pipeline/model/families/families.hpp"

#include <array>

#include "pipeline/model/families/gemma3.hpp"
#include "pipeline/model/families/llama.hpp"
#include "pipeline/model/families/mistral.hpp"
#include "pipeline/model/families/qwen2.hpp"
#include "pipeline/model/families/qwen3.hpp"

namespace shardquant::model {

std::span<const Family* const> families() {
  static constexpr std::array kFamilies{&kLlama, &kMistral, &kQwen2, &kQwen3, &kGemma3};
  return kFamilies;
}

}  // namespace shardquant::model
