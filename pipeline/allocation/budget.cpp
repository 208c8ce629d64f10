#include "pipeline/allocation/budget.hpp"

#include <array>
#include <charconv>
#include <cmath>

#include "pipeline/failure.hpp"

namespace shardquant::allocation {

namespace {

constexpr std::int64_t kMaxAmount = std::int64_t{1} << 60;

struct Unit {
  std::string_view name;
  double factor;
};

constexpr std::array kUnits = {
    Unit{"", 1.0},       Unit{"B", 1.0},      Unit{"kB", 1e3},     Unit{"KB", 1e3},
    Unit{"MB", 1e6},     Unit{"GB", 1e9},     Unit{"TB", 1e12},    Unit{"KiB", 0x1p10},
    Unit{"MiB", 0x1p20}, Unit{"GiB", 0x1p30}, Unit{"TiB", 0x1p40},
};

[[noreturn]] void refuse_size(std::string_view text) {
  fail(ExitCode::config,
       "size {}: give a number and one of B kB MB GB TB KiB MiB GiB TiB, as 24GiB", text);
}

}  // namespace

std::int64_t budget_bits(const Budget& budget, const AllocationInput& input) {
  if (budget.kind == Budget::Kind::bits) return budget.amount;
  if (!std::isfinite(budget.bpw) || budget.bpw <= 0.0) {
    fail(ExitCode::config, "bits per weight: {} is not a positive number", budget.bpw);
  }
  const std::int64_t numel = input.numel();
  if (numel == 0) {
    fail(ExitCode::bad_data,
         "{}: the number of weights of its modules cannot be told from their bits; give the budget "
         "in bits (--bits)",
         input.name);
  }
  const double bits = std::floor(budget.bpw * static_cast<double>(numel));
  if (bits > static_cast<double>(kMaxAmount)) return kMaxAmount;
  return static_cast<std::int64_t>(bits);
}

std::int64_t parse_size(std::string_view text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) refuse_size(text);
  std::string_view name(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
  for (const Unit& unit : kUnits) {
    if (name != unit.name) continue;
    const double bytes = std::floor(value * unit.factor);
    if (!(bytes >= 1.0) || bytes > static_cast<double>(kMaxAmount)) refuse_size(text);
    return static_cast<std::int64_t>(bytes);
  }
  refuse_size(text);
}

}  // namespace shardquant::allocation
