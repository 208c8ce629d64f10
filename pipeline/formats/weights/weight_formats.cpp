#include "pipeline/formats/weights/weight_formats.hpp"

#include <array>

#include "pipeline/formats/weights/compressed_tensors/compressed_tensors_format.hpp"
#include "pipeline/formats/weights/exl2/exl2_format.hpp"

namespace shardquant::weights {

// Nothing but the table: a test links one of its own in the place of this file.
std::span<const WeightFormat* const> weight_formats() {
  static const std::array<const WeightFormat*, 2> kFormats = {
      &exl2::exl2_format(), &compressed_tensors::compressed_tensors_format()};
  return kFormats;
}

}  // namespace shardquant::weights
