#include "pipeline/allocation/module_shapes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace shardquant::allocation {

namespace {

using records::ModuleMeasurement;
using records::ModuleOption;
using records::ProjectionRecipe;

constexpr std::int64_t kStep = 32;
constexpr std::int64_t kMaxDimension = 65536;
constexpr std::int64_t kMaxExperts = 512;
// Kinds of modules in one file; real ones have two or three, and a search takes up to a second.
constexpr std::size_t kMaxSearches = 8;

// projection_bits is linear in the columns: fixed + per_column * cols.
struct LinearBits {
  std::int64_t fixed = 0;
  std::int64_t per_column = 0;
};

std::optional<LinearBits> bits_by_column(const ProjectionRecipe& recipe, std::int64_t rows,
                                         bool with_invperm) {
  LinearBits bits;
  std::int64_t left = rows;
  std::int64_t groups = 0;
  for (std::size_t i = 0; i < recipe.bits.size(); ++i) {
    const std::int64_t size = recipe.group_sizes[i];
    // As ExLlamaV2 has it, in double: rows * proportion may be a little above a whole number.
    const double wanted = std::min(static_cast<double>(rows) * recipe.bits_prop[i],
                                   static_cast<double>(std::max<std::int64_t>(left, 0)));
    const auto count = static_cast<std::int64_t>(std::ceil(wanted / static_cast<double>(size)));
    groups += count;
    bits.per_column += std::min(count * size, std::max<std::int64_t>(left, 0)) * recipe.bits[i];
    left -= count * size;
  }
  if (left > 0) return std::nullopt;
  bits.per_column += groups * recipe.scale_bits;
  bits.fixed = groups * (16 + 32) + (with_invperm ? 32 * rows : 0);
  return bits;
}

// Dimensions of a projection by name: indices into {hidden, inner, narrow}.
struct Role {
  int rows = 0;
  int cols = 0;
};

std::optional<Role> role_of(const std::string& name) {
  constexpr int kHidden = 0;
  constexpr int kInner = 1;   // heads * head_dim, or the width of the MLP
  constexpr int kNarrow = 2;  // kv_heads * head_dim
  if (name == "q_proj" || name == "gate_proj" || name == "up_proj" || name == "w1" ||
      name == "w3") {
    return Role{kHidden, kInner};
  }
  if (name == "k_proj" || name == "v_proj") return Role{kHidden, kNarrow};
  if (name == "o_proj" || name == "down_proj" || name == "w2") return Role{kInner, kHidden};
  return std::nullopt;
}

std::optional<std::vector<Role>> roles_of(const ModuleMeasurement& module) {
  std::vector<Role> roles;
  for (const auto& projection : module.options.front().projections) {
    const auto role = role_of(projection.first);
    if (!role) return std::nullopt;
    roles.push_back(*role);
  }
  return roles;
}

bool has_narrow(const std::vector<Role>& roles) {
  return std::any_of(roles.begin(), roles.end(), [](const Role& role) { return role.cols == 2; });
}

ModuleShape make_shape(const std::vector<Role>& roles, const std::int64_t (&dims)[3],
                       std::int64_t experts, bool with_invperm) {
  ModuleShape shape;
  shape.experts = experts;
  shape.with_invperm = with_invperm;
  for (const Role& role : roles) {
    shape.rows.push_back(dims[role.rows]);
    shape.cols.push_back(dims[role.cols]);
  }
  return shape;
}

bool reproduces(const ModuleShape& shape, const ModuleMeasurement& module) {
  return std::all_of(module.options.begin(), module.options.end(), [&](const ModuleOption& option) {
    std::int64_t total = 0;
    for (std::size_t p = 0; p < option.projections.size(); ++p) {
      const auto bits = projection_bits(option.projections[p].second, shape.rows[p], shape.cols[p],
                                        shape.with_invperm);
      if (!bits) return false;
      total += *bits;
    }
    return total * shape.experts == option.total_bits;
  });
}

bool same_bits(const ModuleMeasurement& a, const ModuleMeasurement& b) {
  return std::equal(a.options.begin(), a.options.end(), b.options.begin(), b.options.end(),
                    [](const ModuleOption& x, const ModuleOption& y) {
                      return x.total_bits == y.total_bits && x.projections == y.projections;
                    });
}

// All shapes that one module's bits allow. The first option gives, for every pair of outer
// dimensions, at most one third one; the others then confirm or refute it.
class ShapeSearch {
 public:
  ShapeSearch(const ModuleMeasurement& module, std::vector<Role> roles)
      : module_(module), roles_(std::move(roles)) {}

  std::vector<ModuleShape> attention(bool with_invperm) const {
    std::vector<ModuleShape> found;
    const std::int64_t total = module_.options.front().total_bits;
    for (std::int64_t hidden = kStep; hidden <= kMaxDimension; hidden += kStep) {
      for (std::int64_t inner = kStep; inner <= kMaxDimension; inner += kStep) {
        const auto rest = known_part(hidden, inner, with_invperm);
        if (!rest) continue;
        if (rest->fixed >= total) break;  // more of `inner` only adds
        const std::int64_t left = total - rest->fixed;
        if (left % rest->per_column != 0) continue;
        const std::int64_t dims[3] = {hidden, inner, left / rest->per_column};
        ModuleShape shape = make_shape(roles_, dims, 1, with_invperm);
        if (dims[2] <= inner && reproduces(shape, module_)) found.push_back(std::move(shape));
      }
    }
    return found;
  }

  std::vector<ModuleShape> mlp(std::int64_t hidden, bool with_invperm) const {
    std::vector<ModuleShape> found;
    const std::int64_t total = module_.options.front().total_bits;
    for (std::int64_t inner = kStep; inner <= kMaxDimension; inner += kStep) {
      const auto one = known_part(hidden, inner, with_invperm);
      if (!one) continue;
      if (one->fixed > total) break;
      if (total % one->fixed != 0 || total / one->fixed > kMaxExperts) continue;
      const std::int64_t dims[3] = {hidden, inner, 0};
      ModuleShape shape = make_shape(roles_, dims, total / one->fixed, with_invperm);
      if (reproduces(shape, module_)) found.push_back(std::move(shape));
    }
    return found;
  }

 private:
  // Bits of the first option: those of projections without the narrow dimension, and what the
  // narrow ones take whatever their width, in `fixed`; by its width in `per_column`.
  std::optional<LinearBits> known_part(std::int64_t hidden, std::int64_t inner,
                                       bool with_invperm) const {
    const std::int64_t dims[2] = {hidden, inner};
    LinearBits sum;
    for (std::size_t p = 0; p < roles_.size(); ++p) {
      const auto bits = bits_by_column(module_.options.front().projections[p].second,
                                       dims[roles_[p].rows], with_invperm);
      if (!bits) return std::nullopt;
      sum.fixed += bits->fixed;
      if (roles_[p].cols == 2) {
        sum.per_column += bits->per_column;
      } else {
        sum.fixed += bits->per_column * dims[roles_[p].cols];
      }
    }
    return sum;
  }

  const ModuleMeasurement& module_;
  std::vector<Role> roles_;
};

// The shape if all that was found has the same number of weights.
std::optional<ModuleShape> unique_shape(const std::vector<ModuleShape>& found) {
  if (found.empty()) return std::nullopt;
  const bool ambiguous = std::any_of(found.begin(), found.end(), [&](const ModuleShape& shape) {
    return shape.numel() != found.front().numel();
  });
  if (ambiguous) return std::nullopt;
  return found.front();
}

std::optional<ModuleShape> find_shape(const ModuleMeasurement& module, std::int64_t hidden) {
  const auto roles = roles_of(module);
  if (!roles || (!has_narrow(*roles) && hidden == 0)) return std::nullopt;
  const ShapeSearch search(module, *roles);
  for (const bool with_invperm : {true, false}) {
    auto found =
        has_narrow(*roles) ? search.attention(with_invperm) : search.mlp(hidden, with_invperm);
    if (!found.empty()) return unique_shape(found);
  }
  return std::nullopt;
}

bool is_attention(const ModuleMeasurement& module) {
  if (module.options.empty()) return false;
  const auto roles = roles_of(module);
  return roles && has_narrow(*roles);
}

void add_remarks(const records::Measurement2024& measurement, ModuleShapes& result) {
  std::int64_t without_invperm = 0;
  std::int64_t unknown = 0;
  std::string example;
  for (std::size_t m = 0; m < result.shapes.size(); ++m) {
    if (measurement.modules[m].options.empty()) continue;
    if (!result.shapes[m]) {
      if (unknown++ == 0) example = measurement.modules[m].key;
    } else if (!result.shapes[m]->with_invperm) {
      ++without_invperm;
    }
  }
  if (without_invperm > 0) {
    result.remarks.push_back(
        fmt::format("total_bits of {} modules leave out q_invperm, 32 bits per row and projection; "
                    "budgets are counted the same way",
                    without_invperm));
  }
  if (unknown > 0) {
    result.remarks.push_back(fmt::format(
        "total_bits of {} modules, such as {}, follow the formula of no shape", unknown, example));
  }
}

}  // namespace

std::optional<std::int64_t> projection_bits(const ProjectionRecipe& recipe, std::int64_t rows,
                                            std::int64_t cols, bool with_invperm) {
  const auto bits = bits_by_column(recipe, rows, with_invperm);
  if (!bits) return std::nullopt;
  return bits->fixed + bits->per_column * cols;
}

std::int64_t ModuleShape::numel() const {
  std::int64_t numel = 0;
  for (std::size_t p = 0; p < rows.size(); ++p) numel += rows[p] * cols[p];
  return numel * experts;
}

ModuleShapes find_module_shapes(const records::Measurement2024& measurement) {
  ModuleShapes result;
  const std::size_t modules = measurement.modules.size();
  result.shapes.resize(modules);
  std::int64_t hidden = 0;
  // Attention first: it tells the hidden size, which MLP modules share.
  for (const bool attention : {true, false}) {
    std::vector<std::size_t> done;
    for (std::size_t m = 0; m < modules; ++m) {
      const ModuleMeasurement& module = measurement.modules[m];
      if (module.options.empty() || is_attention(module) != attention) continue;
      const auto same = std::find_if(done.begin(), done.end(), [&](std::size_t other) {
        return same_bits(measurement.modules[other], module);
      });
      if (same != done.end()) {
        result.shapes[m] = result.shapes[*same];
        continue;
      }
      if (done.size() == kMaxSearches) continue;
      result.shapes[m] = find_shape(module, hidden);
      done.push_back(m);
      if (attention && result.shapes[m]) hidden = result.shapes[m]->rows.front();
    }
  }
  add_remarks(measurement, result);
  return result;
}

}  // namespace shardquant::allocation
