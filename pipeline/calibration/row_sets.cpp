#include "pipeline/calibration/row_sets.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::calibration {

namespace {

// The source of every row: of those that are not used up, always the one that is furthest behind
// its share, of several the first.
std::vector<std::size_t> mixed_order(const std::vector<std::int64_t>& counts) {
  const std::int64_t total = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  std::vector<std::int64_t> taken(counts.size());
  std::vector<std::size_t> order;
  for (std::int64_t done = 0; done < total; ++done) {
    std::size_t best = 0;
    std::int64_t most_behind = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (taken[i] == counts[i]) continue;
      const std::int64_t behind = counts[i] * (done + 1) - taken[i] * total;
      if (behind <= most_behind) continue;
      most_behind = behind;
      best = i;
    }
    ++taken[best];
    order.push_back(best);
  }
  return order;
}

// A row that is in two sets would be measured on what was calibrated on.
void require_disjoint(const RowSets& made) {
  std::map<std::string, std::string> owner;
  for (const RowSet& set : made.sets) {
    for (std::int64_t row = 0; row < set.rows; ++row) {
      const auto [place, is_new] = owner.emplace(row_hash(set, made.length, row), set.name);
      if (is_new || place->second == set.name) continue;
      fail(ExitCode::bad_data,
           "the sources hold the same row of {} tokens twice: it would be one of the {} rows and "
           "of the {} rows; set calibration.dedupe to exact, or give other sources",
           made.length, place->second, set.name);
    }
  }
}

}  // namespace

std::vector<std::int64_t> rows_by_weight(std::int64_t rows, const std::vector<double>& weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::int64_t> counts;
  std::vector<double> remainders;
  std::int64_t left = rows;
  for (const double weight : weights) {
    const double share = static_cast<double>(rows) * (weight / sum);
    counts.push_back(std::min(static_cast<std::int64_t>(share), left));
    remainders.push_back(share - std::floor(share));
    left -= counts.back();
  }
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return remainders[a] > remainders[b]; });
  for (std::size_t i = 0; left > 0; i = (i + 1) % order.size(), --left) ++counts[order[i]];
  return counts;
}

RowSets make_row_sets(const std::vector<config::RunConfig::Source>& sources,
                      const PackingRules& rules, tokenizer::Tokenizer* tokenizer,
                      std::vector<RowSet> sets) {
  RowSets made{rules.length, std::move(sets), {}};
  std::int64_t total = 0;
  for (const RowSet& set : made.sets) total += set.rows;
  std::vector<double> weights;
  for (const auto& source : sources) weights.push_back(source.weight);
  const std::vector<std::int64_t> counts = rows_by_weight(total, weights);

  RowReader reader(tokenizer, rules);
  std::vector<std::vector<std::int32_t>> of_sources(sources.size());
  for (std::size_t i = 0; i < sources.size(); ++i) {
    made.sources.push_back(counts[i] == 0 ? SourceRecord{}
                                          : reader.read(sources[i], counts[i], of_sources[i]));
  }
  std::vector<std::int64_t> taken(sources.size());
  const std::vector<std::size_t> order = mixed_order(counts);
  std::size_t next = 0;
  for (RowSet& set : made.sets) {
    for (std::int64_t row = 0; row < set.rows; ++row) {
      const std::size_t source = order[next++];
      const auto first = of_sources[source].begin() + taken[source]++ * rules.length;
      set.tokens.insert(set.tokens.end(), first, first + rules.length);
    }
  }
  require_disjoint(made);
  return made;
}

std::string row_hash(const RowSet& set, std::int64_t length, std::int64_t row) {
  const char* first = reinterpret_cast<const char*>(set.tokens.data() + row * length);
  return checkpoint::xxh3_128_hex({first, static_cast<std::size_t>(length) * sizeof(std::int32_t)});
}

}  // namespace shardquant::calibration
