#include "pipeline/report/run_report.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace shardquant::report {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchema = 1;

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json number(const std::optional<double>& value) {
  return value ? number(*value) : Json(nullptr);
}

Json numbers(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) list.push_back(number(value));
  return list;
}

Json output_json(const RunReport::Output& output) {
  return {{"asked_bpw", number(output.asked_bpw)},
          {"bpw", number(output.bpw)},
          {"stored_bpw", number(output.stored_bpw)},
          {"folder_bpw", number(output.folder_bpw)},
          {"head_bits", output.head_bits},
          {"weight_bytes", output.weight_bytes},
          {"objective", output.objective},
          {"status", output.status},
          {"objective_value", number(output.objective_value)},
          {"lower_bound", number(output.lower_bound)},
          {"gap", number(output.gap)},
          {"sum_err", number(output.sum_err)},
          {"max_err", number(output.max_err)}};
}

Json layers_json(const RunReport& report) {
  Json list = Json::array();
  for (const RunReport::Layer& layer : report.layers) {
    list.push_back({{"name", layer.name},
                    {"block", layer.block},
                    {"role", layer.role},
                    {"option", layer.option},
                    {"bpw", number(layer.bpw)},
                    {"err", number(layer.err)},
                    {"sensitivity", number(layer.sensitivity)}});
  }
  return list;
}

Json frontier_json(const RunReport& report) {
  Json list = Json::array();
  for (const RunReport::FrontierPoint& point : report.frontier) {
    list.push_back({{"asked_bpw", number(point.asked_bpw)},
                    {"bpw", number(point.bpw)},
                    {"value", number(point.value)},
                    {"lower_bound", number(point.lower_bound)},
                    {"sum_err", number(point.sum_err)},
                    {"max_err", number(point.max_err)}});
  }
  return list;
}

Json uniform_json(const RunReport& report) {
  Json list = Json::array();
  for (const RunReport::Uniform& point : report.uniform) {
    list.push_back(
        {{"option", point.option}, {"bpw", number(point.bpw)}, {"sum_err", number(point.sum_err)}});
  }
  return list;
}

Json evaluation_json(const RunReport& report) {
  if (!report.evaluation) return nullptr;
  const RunReport::Evaluation& evaluation = *report.evaluation;
  return {{"rows", evaluation.rows},
          {"length", evaluation.length},
          {"tokens", evaluation.tokens},
          {"rows_xxh3_128", evaluation.rows_hash},
          {"perplexity", number(evaluation.perplexity)},
          {"plain_perplexity", number(evaluation.plain_perplexity)},
          {"kl_mean", number(evaluation.kl_mean)},
          {"kl_99", number(evaluation.kl_99)},
          {"top1_agreement", number(evaluation.top_agreement)},
          {"block_errors", numbers(evaluation.block_errors)}};
}

Json points_json(const RunReport& report) {
  Json list = Json::array();
  for (const RunReport::Point& point : report.points) {
    list.push_back({{"bpw", number(point.bpw)},
                    {"head_bits", point.head_bits},
                    {"weight_bytes", point.weight_bytes},
                    {"perplexity", number(point.perplexity)},
                    {"plain_perplexity", number(point.plain_perplexity)},
                    {"kl_mean", number(point.kl_mean)},
                    {"kl_99", number(point.kl_99)},
                    {"top1_agreement", number(point.top_agreement)}});
  }
  return list;
}

Json stages_json(const RunReport& report) {
  Json list = Json::array();
  for (const RunReport::Stage& stage : report.stages) {
    list.push_back({{"name", stage.name},
                    {"seconds", number(stage.seconds)},
                    {"busy_s", numbers(stage.busy_seconds)}});
  }
  return list;
}

}  // namespace

std::string report_json(const RunReport& report) {
  Json json;
  json["schema"] = kSchema;
  json["model"] = {{"name", report.model.name},
                   {"family", report.model.family},
                   {"blocks", report.model.blocks},
                   {"parameters", report.model.parameters},
                   {"all_parameters", report.model.all_parameters},
                   {"weight_bytes", report.model.weight_bytes}};
  json["output"] = output_json(report.output);
  json["layers"] = layers_json(report);
  json["frontier"] = frontier_json(report);
  json["uniform"] = uniform_json(report);
  json["evaluation"] = evaluation_json(report);
  json["points"] = points_json(report);
  json["stages"] = stages_json(report);
  json["run"] = {{"ranks", report.run.ranks},
                 {"restart", report.run.restart},
                 {"seconds", number(report.run.seconds)},
                 {"peak_bytes", report.run.peak_bytes},
                 {"device", report.run.device}};
  json["warnings"] = Json::array();
  for (const RunReport::Warning& warning : report.warnings) {
    json["warnings"].push_back({{"text", warning.text}, {"is_warning", warning.is_warning}});
  }
  json["settings"] = report.settings;
  json["hashes"] = Json::array();
  for (const auto& [name, value] : report.hashes) {
    json["hashes"].push_back({{"name", name}, {"value", value}});
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace shardquant::report
