#include "pipeline/formats/weights/exl2/exl2_reader.hpp"

#include "pipeline/failure.hpp"
#include "pipeline/formats/require_tensor.hpp"
#include "pipeline/formats/weights/exl2/exl2_rules.hpp"

namespace shardquant::exl2 {

namespace {

using kernels::RowGroup;

constexpr std::int64_t kInt16Max = 32767;

// Group sizes are not stored: they follow from the first packed row of each group.
std::vector<RowGroup> derive_groups(const formats::SafetensorsFolder& folder,
                                    const std::string& name, std::span<const std::int16_t> stored,
                                    std::int64_t packed_rows, std::int64_t inputs) {
  std::vector<RowGroup> groups;
  std::int64_t row = 0;
  for (std::size_t i = 0; i < stored.size(); i += 2) {
    const int bits = stored[i];
    const std::int64_t begin = stored[i + 1];
    const std::int64_t end = i + 2 < stored.size() ? stored[i + 3] : packed_rows;
    if (i == 0 && begin != 0)
      refuse_tensor(folder, name, fmt::format("R4: the first group begins at {}", begin));
    if (bits < 2 || bits > 8 || bits == 7) {
      refuse_tensor(folder, name, fmt::format("group {}: {} bits cannot be stored", i / 2, bits));
    }
    const std::int64_t packed = end - begin;
    if (packed <= 0 || packed * 32 % bits != 0) {
      refuse_tensor(folder, name,
                    fmt::format("R4: group {} of {} bits has {} packed rows", i / 2, bits, packed));
    }
    const std::int64_t rows = packed * 32 / bits;
    groups.push_back({row, static_cast<int>(rows), bits});
    row += rows;
  }
  const std::string fault = exl2_group_fault(inputs, groups);
  if (!fault.empty()) refuse_tensor(folder, name, fault);
  return groups;
}

struct StoredGroups {
  std::vector<std::int16_t> raw;
  std::vector<RowGroup> groups;
};

StoredGroups read_groups(const formats::SafetensorsFolder& folder, const std::string& key,
                         std::int64_t inputs) {
  const std::string weight_name = key + ".q_weight";
  const std::string groups_name = key + ".q_groups";
  const std::int64_t packed_rows =
      require_tensor(folder, weight_name, formats::Dtype::i32, 2).shape[0];
  if (packed_rows > kInt16Max) {
    refuse_tensor(folder, weight_name,
                  fmt::format("R4: {} packed rows; int16 ends at 32767", packed_rows));
  }
  const std::int64_t numbers = require_tensor(folder, groups_name, formats::Dtype::i16, 1).shape[0];
  if (numbers == 0 || numbers % 2 != 0 || numbers > 2 * kInt16Max) {
    refuse_tensor(folder, groups_name, fmt::format("{} numbers are no list of pairs", numbers));
  }
  StoredGroups stored;
  stored.raw = formats::read_values<std::int16_t>(folder, groups_name);
  stored.groups = derive_groups(folder, groups_name, stored.raw, packed_rows, inputs);
  return stored;
}

void check_permutation(const formats::SafetensorsFolder& folder, const Exl2Layer& layer) {
  std::vector<bool> seen(layer.q_invperm.size());
  for (std::size_t i = 0; i < layer.q_invperm.size(); ++i) {
    const std::int32_t row = layer.q_invperm[i];
    if (row < 0 || row >= layer.inputs || seen[row]) {
      refuse_tensor(folder, layer.key + ".q_invperm",
                    fmt::format("no permutation: {} at place {}", row, i));
    }
    seen[row] = true;
  }
}

void check_scale_maxima(const formats::SafetensorsFolder& folder, const Exl2Layer& layer) {
  constexpr std::uint16_t kFirstNotFinite = 0x7c00;
  for (std::size_t g = 0; g < layer.q_scale_max.size(); ++g) {
    if (layer.q_scale_max[g] >= kFirstNotFinite) {
      refuse_tensor(
          folder, layer.key + ".q_scale_max",
          fmt::format("group {} is negative, infinite or NaN (0x{:04x})", g, layer.q_scale_max[g]));
    }
  }
}

void check_padding(const formats::SafetensorsFolder& folder, const Exl2Layer& layer) {
  const std::int64_t padded = layer.padded_outputs();
  for (std::int64_t n = layer.outputs; n < std::ssize(layer.bias); ++n) {
    if ((layer.bias[n] & 0x7fffu) != 0) {
      refuse_tensor(folder, layer.key + ".bias", fmt::format("padded column {} is not zero", n));
    }
  }
  if (padded == layer.outputs) return;
  std::vector<std::uint8_t> codes(32 * padded);
  for (const RowGroup& group : layer.groups) {
    const int zero = 1 << (group.bits - 1);
    for (std::int64_t row = group.first_row; row < group.first_row + group.rows; row += 32) {
      unpack_codes(layer, row, 32, codes);
      for (std::int64_t i = 0; i < 32; ++i) {
        for (std::int64_t n = layer.outputs; n < padded; ++n) {
          if (codes[i * padded + n] == zero) continue;
          refuse_tensor(
              folder, layer.key + ".q_weight",
              fmt::format("padded column {} does not decode to zero in row {}", n, row + i));
        }
      }
    }
  }
}

}  // namespace

bool is_exl2_layer(const formats::SafetensorsFolder& folder, const std::string& key) {
  return folder.find(key + ".q_weight") != nullptr;
}

std::vector<RowGroup> read_exl2_groups(const formats::SafetensorsFolder& folder,
                                       const std::string& key, std::int64_t inputs) {
  return read_groups(folder, key, inputs).groups;
}

Exl2Layer read_exl2_layer(const formats::SafetensorsFolder& folder, const std::string& key,
                          std::int64_t inputs, std::int64_t outputs, bool has_bias) {
  StoredGroups stored = read_groups(folder, key, inputs);
  for (const formats::TensorSpec& spec :
       exl2_tensor_specs(key, inputs, outputs, stored.groups, has_bias)) {
    require_tensor(folder, spec);
  }
  if (!has_bias && folder.find(key + ".bias") != nullptr) {
    refuse_tensor(folder, key + ".bias", "a bias where the architecture has none");
  }
  if (folder.find(key + ".weight") != nullptr) {
    refuse_tensor(folder, key + ".weight", "lies beside the quantized layer");
  }
  Exl2Layer layer;
  layer.key = key;
  layer.inputs = inputs;
  layer.outputs = outputs;
  layer.groups = std::move(stored.groups);
  layer.q_groups = std::move(stored.raw);
  layer.q_weight = formats::read_values<std::uint32_t>(folder, key + ".q_weight");
  layer.q_scale = formats::read_values<std::uint32_t>(folder, key + ".q_scale");
  layer.q_scale_max = formats::read_values<std::uint16_t>(folder, key + ".q_scale_max");
  layer.q_invperm = formats::read_values<std::int32_t>(folder, key + ".q_invperm");
  if (has_bias) layer.bias = formats::read_values<std::uint16_t>(folder, key + ".bias");
  check_permutation(folder, layer);
  check_scale_maxima(folder, layer);
  check_padding(folder, layer);
  return layer;
}

}  // namespace shardquant::exl2
