#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace shardquant::report {

/// What report.json says of a finished run, and report.html draws. Plain data.
struct RunReport {
  struct Model {
    std::string name;  ///< of its folder
    std::string family;
    std::int64_t blocks = 0;
    std::int64_t parameters = 0;      ///< weights of the linear layers of the blocks
    std::int64_t all_parameters = 0;  ///< of all its tensors
    std::int64_t weight_bytes = 0;    ///< of those, unquantized
  } model;

  struct Output {
    double asked_bpw = 0.0;
    double bpw = 0.0;         ///< of the blocks' linear layers, as the measurement counts bits
    double stored_bpw = 0.0;  ///< of those on disk
    double folder_bpw = 0.0;  ///< bits of all *.safetensors over all weights of the model
    std::int64_t head_bits = 0;
    std::int64_t weight_bytes = 0;  ///< of all *.safetensors
    std::string objective;
    std::string status;  ///< of the proof
    double objective_value = 0.0;
    std::optional<double> lower_bound;
    std::optional<double> gap;
    double sum_err = 0.0;
    double max_err = 0.0;
  } output;

  struct Layer {
    std::string name;
    std::int64_t block = 0;
    std::string role;  ///< "q_proj"
    std::string option;
    double bpw = 0.0;
    double err = 0.0;
    std::optional<double> sensitivity =
        std::nullopt;  ///< KL divergence per squared err, where measured
  };
  std::vector<Layer> layers;  ///< of the blocks, in the order of the model

  /// The best allocation of a number of bits.
  struct FrontierPoint {
    double asked_bpw = 0.0;
    double bpw = 0.0;
    double value = 0.0;  ///< of the objective
    std::optional<double> lower_bound;
    double sum_err = 0.0;
    double max_err = 0.0;
  };
  std::vector<FrontierPoint> frontier;

  /// All layers at one option.
  struct Uniform {
    std::string option;
    double bpw = 0.0;
    double sum_err = 0.0;
  };
  std::vector<Uniform> uniform;

  struct Evaluation {
    std::int64_t rows = 0;
    std::int64_t length = 0;
    std::int64_t tokens = 0;  ///< predicted
    std::string rows_hash;    ///< XXH3-128 of their ids
    double perplexity = 0.0;
    double plain_perplexity = 0.0;
    double kl_mean = 0.0;
    double kl_99 = 0.0;
    double top_agreement = 0.0;
    std::vector<double> block_errors;
  };
  std::optional<Evaluation> evaluation;

  /// An output of a sweep; a run without one has its own alone, where it was evaluated.
  struct Point {
    double bpw = 0.0;
    std::int64_t head_bits = 0;
    std::int64_t weight_bytes = 0;
    double perplexity = 0.0;
    double plain_perplexity = 0.0;
    double kl_mean = 0.0;
    double kl_99 = 0.0;
    double top_agreement = 0.0;
  };
  std::vector<Point> points;

  struct Stage {
    std::string name;
    double seconds = 0.0;              ///< of the rank that took longest
    std::vector<double> busy_seconds;  ///< by rank, without waiting for others
  };
  std::vector<Stage> stages;

  struct Run {
    int ranks = 0;
    std::int64_t restart = 0;  ///< 0: the first start
    double seconds = 0.0;
    std::int64_t peak_bytes = 0;  ///< of the rank that held most
    std::string device;
  } run;

  struct Warning {
    std::string text;
    bool is_warning = false;  ///< else a note
  };
  std::vector<Warning> warnings;

  std::string settings;                                     ///< the job, every setting spelled out
  std::vector<std::pair<std::string, std::string>> hashes;  ///< what the results depend on
};

/// report.json. Numbers are the shortest text that reads back; NaN and infinities become null; text
/// that is not UTF-8 gets U+FFFD in place of the wrong bytes.
std::string report_json(const RunReport& report);

/// report.html: one file that draws the JSON and asks for nothing else. Whatever the JSON holds, it
/// cannot end the element that it lies in.
std::string report_page(const std::string& json);

}  // namespace shardquant::report
