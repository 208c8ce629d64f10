#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/report/run_report.hpp"

namespace shardquant::report {

/// What the report of a finished job says of its output, in short.
struct OutputFigures {
  RunReport::Output output;
  std::optional<RunReport::Point> evaluation;  ///< where it was evaluated
  std::int64_t evaluation_rows = 0;
  std::string rows_hash;  ///< of those rows: only figures of the same ones can be compared
  std::string settings;   ///< of the job, every one spelled out
};

/// One point of a sweep.
struct SweepRow {
  std::size_t number = 0;
  std::string name;
  std::vector<std::pair<std::string, std::string>> values;  ///< what the sweep set: {"bpw", "4"}
  std::string folder;                                       ///< of its output
  std::optional<OutputFigures> figures;                     ///< none: not done yet
};

/// Reads them from the text of a report.json; nothing where that is not one of schema 1.
std::optional<OutputFigures> parse_output_figures(const std::string& json);

/// The text of a report.json with these points in place of its own; empty where it is none.
std::string with_points(const std::string& json, const std::vector<RunReport::Point>& points);

/// sweep.json: {"schema": 1, "points": [...]}; what is not known is null.
std::string sweep_json(const std::vector<SweepRow>& rows);

/// sweep.csv (RFC 4180): a line with names, then one per point; what is not known is empty.
std::string sweep_csv(const std::vector<SweepRow>& rows);

/// A table in columns, for people; below it a line where not all were evaluated on the same rows.
std::string sweep_text(const std::vector<SweepRow>& rows);

}  // namespace shardquant::report
