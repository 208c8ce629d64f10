// The table of pipeline/formats/weights/weight_formats.cpp with one row more.
#include "pipeline/formats/weights/weight_formats.hpp"

#include <array>

#include "pipeline/formats/weights/exl2/exl2_format.hpp"

namespace shardquant::uniform8 {
const weights::WeightFormat& uniform8_format();
}

namespace shardquant::weights {

std::span<const WeightFormat* const> weight_formats() {
  static const std::array kFormats = {&exl2::exl2_format(), &uniform8::uniform8_format()};
  return kFormats;
}

}  // namespace shardquant::weights
