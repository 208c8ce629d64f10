#include "pipeline/commands/print_allocation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "pipeline/allocation/layer_name.hpp"
#include "pipeline/report/log.hpp"
#include "pipeline/report/memory.hpp"

namespace shardquant::commands {

namespace {

constexpr std::array kShades = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::int64_t kColumns = 80;  // blocks side by side
constexpr std::size_t kNameWidth = 32;

struct Cell {
  double value = 0.0;  // bits per weight, or bits
  std::int64_t bits = 0;
  std::int64_t weights = 0;
};

// Parts in the order of the layers; per part its cells by block. Layers outside of blocks are in
// block -1.
struct Grid {
  std::vector<std::string> parts;
  std::map<std::string, std::map<std::int64_t, Cell>> cells;
  std::int64_t last_block = -1;
  double least = 0.0;
  double most = 0.0;
};

double per_weight(std::int64_t bits, std::int64_t weights) {
  return static_cast<double>(bits) / (weights == 0 ? 1.0 : static_cast<double>(weights));
}

Grid make_grid(const allocation::AllocationInput& input, const records::Plan& plan) {
  Grid grid;
  for (std::size_t l = 0; l < input.layers.size(); ++l) {
    const allocation::AllocationLayer& layer = input.layers[l];
    const allocation::LayerName name = allocation::split_layer_key(layer.key);
    auto& row = grid.cells[name.part];
    if (row.empty()) grid.parts.push_back(name.part);
    const std::int64_t block = name.index.value_or(-1);
    const std::int64_t bits = plan.layers[l].bits;
    row[block] = {per_weight(bits, layer.numel), bits, layer.numel};
    grid.last_block = std::max(grid.last_block, block);
    for (const allocation::AllocationOption& option : layer.options) {
      const double value = per_weight(option.bits, layer.numel);
      const bool first = grid.most == 0.0;
      grid.least = first ? value : std::min(grid.least, value);
      grid.most = std::max(grid.most, value);
    }
  }
  return grid;
}

std::string shade(const Grid& grid, double value) {
  const double range = grid.most - grid.least;
  const double place = range > 0.0 ? (value - grid.least) / range : 0.0;
  const auto index = static_cast<std::size_t>(place * static_cast<double>(kShades.size()));
  return kShades[std::min(index, kShades.size() - 1)];
}

// A row ends where the blocks do, at most kColumns after its first one.
std::string row_text(const Grid& grid, const std::map<std::int64_t, Cell>& row,
                     std::int64_t first) {
  std::string text;
  for (std::int64_t block = first; block <= std::min(grid.last_block, first + kColumns - 1);
       ++block) {
    const auto cell = row.find(block);
    text += cell == row.end() ? " " : shade(grid, cell->second.value);
  }
  return text;
}

std::string mean_text(const std::map<std::int64_t, Cell>& row) {
  std::int64_t bits = 0;
  std::int64_t weights = 0;
  for (const auto& [block, cell] : row) {
    bits += cell.bits;
    weights += cell.weights;
  }
  return weights == 0 ? fmt::format("{} bits", bits)
                      : fmt::format("{:.3f}", per_weight(bits, weights));
}

std::string padded_name(const std::string& name) {
  const std::string shown = report::printable(name);
  if (shown.size() <= kNameWidth) return shown + std::string(kNameWidth - shown.size(), ' ');
  return "..." + shown.substr(shown.size() - kNameWidth + 3);
}

// A tick every ten blocks.
std::string scale_text(std::int64_t first, std::int64_t last) {
  std::string text;
  for (std::int64_t block = first; block <= last; block += 10) {
    std::string label = std::to_string(block);
    if (block + 10 <= last) label.resize(10, ' ');
    text += label;
  }
  return text;
}

std::string option_counts(const records::Plan& plan) {
  std::map<std::string, std::int64_t> counts;
  std::vector<std::string> order;
  for (const records::PlannedLayer& layer : plan.layers) {
    if (counts[layer.desc]++ == 0) order.push_back(layer.desc);
  }
  std::stable_sort(order.begin(), order.end(), [&](const std::string& a, const std::string& b) {
    return counts[a] > counts[b];
  });
  std::string text = "layers  option\n";
  for (const std::string& desc : order) {
    text += fmt::format("{:6}  {}\n", counts[desc], report::printable(desc));
  }
  return text;
}

}  // namespace

std::string plan_summary(const records::Plan& plan) {
  std::string text;
  const auto row = [&text](std::string_view name, const std::string& value) {
    text += fmt::format("{:<18} {}\n", name, value);
  };
  row("objective", plan.objective);
  row("value", fmt::format("{:.12g}", plan.objective_value));
  if (plan.lower_bound) {
    row("lower bound",
        fmt::format("{:.12g}  (gap {:.3g}, {})", *plan.lower_bound, *plan.gap, plan.status));
  }
  row("sum of err", fmt::format("{:.12g}", plan.sum_err));
  row("largest err", fmt::format("{:.12g}", plan.max_err));
  row("bits", fmt::format("{} of {}", plan.total_bits, plan.budget_bits));
  if (plan.numel > 0) row("bits per weight", fmt::format("{:.6f}", plan.bpw()));
  if (plan.stored_bits) row("bits as stored", std::to_string(*plan.stored_bits));
  if (plan.folder_bytes) {
    row("output folder",
        fmt::format("{} bytes ({})", *plan.folder_bytes, report::bytes_text(*plan.folder_bytes)));
  }
  return text;
}

std::string plan_heat_map(const allocation::AllocationInput& input, const records::Plan& plan) {
  const Grid grid = make_grid(input, plan);
  std::string text = fmt::format("bits per weight from {:.3g} ({}) to {:.3g} ({}), by block\n",
                                 grid.least, kShades.front(), grid.most, kShades.back());
  for (std::int64_t first = 0; first <= grid.last_block; first += kColumns) {
    const std::int64_t last = std::min(grid.last_block, first + kColumns - 1);
    text += fmt::format("{}  {}\n", std::string(kNameWidth, ' '), scale_text(first, last));
    for (const std::string& part : grid.parts) {
      const auto& row = grid.cells.at(part);
      text += fmt::format("{}  {}  {}\n", padded_name(part), row_text(grid, row, first),
                          first == 0 ? mean_text(row) : "");
    }
  }
  return text + "\n" + option_counts(plan);
}

}  // namespace shardquant::commands
