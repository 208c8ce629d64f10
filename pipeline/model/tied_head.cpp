#include "pipeline/model/tied_head.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace shardquant::model {

namespace {

bool are_equal(const SourceModel& model, const std::string& one, const std::string& other) {
  constexpr std::int64_t kBlock = std::int64_t{1} << 20;
  const std::int64_t count = model.description.vocab_size * model.description.hidden_size;
  std::vector<float> a, b;
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const auto size = static_cast<std::size_t>(std::min(kBlock, count - begin));
    a.resize(size);
    b.resize(size);
    read_floats(model.folder, one, begin, a);
    read_floats(model.folder, other, begin, b);
    if (a != b) return false;
  }
  return true;
}

}  // namespace

std::string tied_head_warning(const SourceModel& model) {
  const std::int64_t head = std::ssize(model.layout.linear_layers) - 1;
  if (!model.tensors.has_own_head() || model.tensors.is_quantized(head)) return "";
  const std::string& name = model.tensors.weight_name(head);
  const std::string& embedding = model.tensors.plain_name(0);
  if (are_equal(model, name, embedding)) return "";
  return fmt::format(
      "{} ties the head to the embedding, but {} is stored and differs from {}: the stored head is "
      "used",
      model.description.config_file, name, embedding);
}

}  // namespace shardquant::model
