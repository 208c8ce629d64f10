#include "pipeline/report/sweep_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "pipeline/report/log.hpp"
#include "pipeline/report/memory.hpp"

namespace shardquant::report {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchema = 1;

std::optional<double> number(const Json& json) {
  return json.is_number() ? std::optional(json.get<double>()) : std::nullopt;
}

// One figure of a point: its name in JSON and CSV, and its value where it is known.
struct Figure {
  const char* name;
  Json value;
};

Json or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::vector<Figure> figures_of(const SweepRow& row) {
  const RunReport::Output output = row.figures ? row.figures->output : RunReport::Output{};
  const auto evaluation = row.figures ? row.figures->evaluation : std::nullopt;
  const RunReport::Point point = evaluation.value_or(RunReport::Point{});
  const auto done = [&](Json value) { return row.figures ? std::move(value) : Json(nullptr); };
  const auto evaluated = [&](double value) { return evaluation ? Json(value) : Json(nullptr); };
  return {{"asked_bpw", done(output.asked_bpw)},
          {"bpw", done(output.bpw)},
          {"stored_bpw", done(output.stored_bpw)},
          {"head_bits", done(output.head_bits)},
          {"weight_bytes", done(output.weight_bytes)},
          {"objective", done(output.objective)},
          {"objective_value", done(output.objective_value)},
          {"lower_bound", done(or_null(output.lower_bound))},
          {"status", done(output.status)},
          {"perplexity", evaluated(point.perplexity)},
          {"plain_perplexity", evaluated(point.plain_perplexity)},
          {"kl_mean", evaluated(point.kl_mean)},
          {"kl_99", evaluated(point.kl_99)},
          {"top1_agreement", evaluated(point.top_agreement)},
          {"evaluation_rows", evaluation ? Json(row.figures->evaluation_rows) : Json(nullptr)},
          {"rows_xxh3_128", evaluation ? Json(row.figures->rows_hash) : Json(nullptr)}};
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

std::string csv_value(const Json& value) {
  if (value.is_null()) return "";
  return csv_field(value.is_string() ? value.get<std::string>() : value.dump());
}

std::string csv_line(const std::vector<std::string>& fields) {
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) line += (i == 0 ? "" : ",") + fields[i];
  return line + "\r\n";
}

using Cells = std::vector<std::string>;

Cells cells_of(const SweepRow& row) {
  Cells cells{fmt::format("{}", row.number), printable(row.name)};
  if (!row.figures) {
    cells.emplace_back("not done");
    cells.resize(9, "-");
    return cells;
  }
  const RunReport::Output& output = row.figures->output;
  cells.push_back(fmt::format("{:.4f}", output.bpw));
  cells.push_back(fmt::format("{}", output.head_bits));
  cells.push_back(bytes_text(output.weight_bytes));
  cells.push_back(fmt::format("{} {:.6g}", output.objective, output.objective_value));
  cells.push_back(output.lower_bound ? fmt::format("{:.6g}", *output.lower_bound) : "-");
  const auto& evaluation = row.figures->evaluation;
  cells.push_back(evaluation ? fmt::format("{:.5f}", evaluation->perplexity) : "-");
  cells.push_back(evaluation ? fmt::format("{:.6g}", evaluation->kl_mean) : "-");
  return cells;
}

bool differ_in_rows(const std::vector<SweepRow>& rows) {
  std::set<std::string> hashes;
  for (const SweepRow& row : rows) {
    if (row.figures && row.figures->evaluation) hashes.insert(row.figures->rows_hash);
  }
  return hashes.size() > 1;
}

}  // namespace

std::optional<OutputFigures> parse_output_figures(const std::string& json) {
  try {
    const Json report = Json::parse(json);
    if (report.at("schema") != kSchema) return std::nullopt;
    const Json& from = report.at("output");
    OutputFigures figures;
    RunReport::Output& output = figures.output;
    output.asked_bpw = from.at("asked_bpw").get<double>();
    output.bpw = from.at("bpw").get<double>();
    output.stored_bpw = from.at("stored_bpw").get<double>();
    output.head_bits = from.at("head_bits").get<std::int64_t>();
    output.weight_bytes = from.at("weight_bytes").get<std::int64_t>();
    output.objective = from.at("objective").get<std::string>();
    output.status = from.at("status").get<std::string>();
    output.objective_value = from.at("objective_value").get<double>();
    output.lower_bound = number(from.at("lower_bound"));
    if (const Json& measured = report.at("evaluation"); !measured.is_null()) {
      figures.evaluation = RunReport::Point{output.bpw,
                                            output.head_bits,
                                            output.weight_bytes,
                                            measured.at("perplexity").get<double>(),
                                            measured.at("plain_perplexity").get<double>(),
                                            measured.at("kl_mean").get<double>(),
                                            measured.at("kl_99").get<double>(),
                                            measured.at("top1_agreement").get<double>()};
      figures.evaluation_rows = measured.at("rows").get<std::int64_t>();
      figures.rows_hash = measured.at("rows_xxh3_128").get<std::string>();
    }
    figures.settings = report.at("settings").get<std::string>();
    return figures;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::string with_points(const std::string& json, const std::vector<RunReport::Point>& points) {
  Json report = Json::parse(json, nullptr, false);
  if (!report.is_object()) return {};
  RunReport holder;
  holder.points = points;
  report["points"] = Json::parse(report_json(holder)).at("points");
  return report.dump(1, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::string sweep_json(const std::vector<SweepRow>& rows) {
  Json json{{"schema", kSchema}, {"points", Json::array()}};
  for (const SweepRow& row : rows) {
    Json point{{"number", row.number}, {"name", row.name}, {"values", Json::object()}};
    for (const auto& [key, value] : row.values) point["values"][key] = value;
    point["folder"] = row.folder;
    point["done"] = row.figures.has_value();
    for (Figure& figure : figures_of(row)) point[figure.name] = std::move(figure.value);
    json["points"].push_back(std::move(point));
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::string sweep_csv(const std::vector<SweepRow>& rows) {
  std::string text;
  for (const SweepRow& row : rows) {
    Cells names{"number", "name", "folder", "done"};
    Cells values{fmt::format("{}", row.number), csv_field(row.name), csv_field(row.folder),
                 row.figures ? "true" : "false"};
    for (const Figure& figure : figures_of(row)) {
      names.emplace_back(figure.name);
      values.push_back(csv_value(figure.value));
    }
    if (text.empty()) text += csv_line(names);
    text += csv_line(values);
  }
  return text;
}

std::string sweep_text(const std::vector<SweepRow>& rows) {
  std::vector<Cells> table{{"#", "point", "bpw", "head", "weights", "objective", "bound",
                            "perplexity", "KL divergence"}};
  for (const SweepRow& row : rows) table.push_back(cells_of(row));
  std::vector<std::size_t> widths(table.front().size());
  for (const Cells& cells : table) {
    for (std::size_t c = 0; c < cells.size(); ++c) widths[c] = std::max(widths[c], cells[c].size());
  }
  std::string text;
  for (const Cells& cells : table) {
    std::string line;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const bool is_name = c == 1;
      line += is_name ? fmt::format("  {:<{}}", cells[c], widths[c])
                      : fmt::format("{}{:>{}}", c == 0 ? "" : "  ", cells[c], widths[c]);
    }
    text += line + '\n';
  }
  if (differ_in_rows(rows)) {
    text +=
        "note: evaluated on different rows (rows_xxh3_128 in sweep.csv), which perplexity and KL "
        "divergence cannot be compared across\n";
  }
  return text;
}

}  // namespace shardquant::report
