#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/calibration/token_rows.hpp"

namespace shardquant::calibration {

/// Rows of one use, `tokens` being [rows, length].
struct RowSet {
  std::string name;
  std::int64_t rows = 0;
  std::vector<std::int32_t> tokens;
};

/// Sets that no row is in twice, and what they were made of.
struct RowSets {
  std::int64_t length = 0;
  std::vector<RowSet> sets;
  std::vector<SourceRecord> sources;
};

/// `rows` dealt out by weight: the whole parts of the shares first, then one each to the largest
/// remainders, of equal ones to the first. @pre weights not empty, all > 0
std::vector<std::int64_t> rows_by_weight(std::int64_t rows, const std::vector<double>& weights);

/// Takes rows from all sources by their weights, mixes them evenly, and gives the first to the
/// first set and so on; sets[i].name and rows are given, tokens filled in.
/// @throws Failure(bad_data) where a row is in two sets, or a source has too few
RowSets make_row_sets(const std::vector<config::RunConfig::Source>& sources,
                      const PackingRules& rules, tokenizer::Tokenizer* tokenizer,
                      std::vector<RowSet> sets);

/// XXH3-128 of the tokens of row `row`, hexadecimal.
std::string row_hash(const RowSet& set, std::int64_t length, std::int64_t row);

}  // namespace shardquant::calibration
