#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace shardquant::config {

/// How the error of an option is taken; docs/formats.md.
enum class ErrNorm { pooled, row_mean };

/// A job as the YAML schema version 1 describes it, every value checked and every path absolute.
/// Plain data; docs in configs/settings_reference.md.
struct RunConfig {
  std::int64_t version = 1;  ///< of the schema

  struct Model {
    std::filesystem::path path;
    std::string links = "contained";  ///< contained, follow
  } model;

  /// A file or folder that calibration rows are taken from.
  struct Source {
    std::filesystem::path path;
    std::string kind = "auto";   ///< auto, text, jsonl, json, tokens, safetensors
    std::string field = "text";  ///< of a JSON object: the one with the text
    double weight = 1.0;         ///< share of the rows, against the other sources' weights

    bool operator==(const Source&) const = default;
  };

  /// Of `tokens`, `text` and `sources` one is given, the others are empty.
  struct Calibration {
    std::filesystem::path tokens;  ///< int32 stream, or safetensors with input_ids
    std::filesystem::path text;
    std::vector<Source> sources;
    std::filesystem::path tokenizer;  ///< empty: that of the model's folder
    std::string document_separator = "<|endoftext|>";
    std::string bos = "auto";     ///< auto, document, row, none
    std::int64_t seed = 0;        ///< 0: documents stay in order
    std::string dedupe = "none";  ///< none, exact
    std::int64_t measurement_rows = 0;
    std::int64_t validation_rows = 0;
    std::int64_t rows = 0;
    std::int64_t length = 0;
    std::int64_t slice_rows = 8;  ///< rows of a slice, the unit of data parallelism
  } calibration;

  struct Measure {
    std::string options = "exl2-2023";
    std::string asymmetric = "false";  ///< false, true: options with zero points too
    std::string err_norm = "pooled";   ///< pooled, row_mean
    std::filesystem::path file;        ///< a measurement of 2023, in place of measuring; or empty

    ErrNorm norm() const { return err_norm == "row_mean" ? ErrNorm::row_mean : ErrNorm::pooled; }
  } measure;

  struct Quantizer {
    double damping = 0.07;
    double damping_floor = 1e-5;
    std::int64_t damping_tries = 9;
    std::int64_t max_rtn_layers = 0;  ///< layers that may be rounded to nearest
    double shrink_low = 0.75;
    double shrink_high = 1.0;
    std::int64_t shrink_steps = 48;
    std::string scale_objective = "weighted";  ///< weighted, simulated, squared
    std::string scale_rounding = "reader";     ///< reader, exl2-2023
  } quantizer;

  /// What a layer's error does to the model's predictions.
  struct Sensitivity {
    std::int64_t rows = 4;  ///< 0: not measured
    std::int64_t length = 64;
    std::string option;         ///< empty: the one nearest to 3.13 bits
    std::string per = "layer";  ///< layer, part
  } sensitivity;

  /// Of `bpw`, `size` and `plan` one is given; where the others are, bpw does not count.
  struct Allocate {
    double bpw = 4.0;
    std::string size;            ///< of the whole output folder, as "24GiB"
    std::filesystem::path plan;  ///< plan.json that is carried out as it is
    double tolerance = 0.0;
    std::vector<std::string> pin, floor, ceiling, tie, tie_all;  ///< see allocation::Constraint
    std::filesystem::path weights;                               ///< of layers, for `weighted`
    std::string objective = "kl";
    std::int64_t head_bits = 6;  ///< 2 3 4 5 6 8, or 16: not quantized
  } allocate;

  struct Quantize {
    std::string hessians = "auto";  ///< auto, keep, recompute
  } quantize;

  struct Evaluation {
    std::int64_t rows = 32;  ///< 0: none
  } evaluation;

  struct Output {
    std::filesystem::path dir;
    std::string format = "exl2";  ///< of the table of weight formats
    std::int64_t shard_mib = 8192;
  } output;

  struct Work {
    std::filesystem::path dir;
    std::filesystem::path measured_in;  ///< work folder of a job that has measured; empty: dir
    std::filesystem::path hessians_in;  ///< work folder with Hessians; empty: measured_in, or dir
  } work;

  struct Checkpoint {
    std::int64_t every_s = 300;  ///< between two stored hidden states
  } checkpoint;

  struct Device {
    std::string kind = "auto";  ///< auto, cpu, cuda
    std::int64_t threads = 1;
  } device;

  /// What the allocation minimizes: the objective asked for, but `sum_squares` in place of `kl`
  /// where sensitivities are not measured. Whether a measurement that is brought along has some
  /// its file tells.
  std::string objective() const;
  /// Whether sensitivities are measured, or borrowed with a measurement: something needs them, and
  /// neither measurement nor plan is brought along.
  bool wants_sensitivities() const;
  /// How many rows the evaluation takes at most.
  std::int64_t most_evaluation_rows() const;
};

/// Reads and checks a job file and the overrides ("allocate.bpw=3.5") given on the command line.
/// Overrides follow the rules of the file; of several for one setting the last counts. Relative
/// paths are relative to the folder of the job file, those of overrides to the current one.
/// @throws Failure(config) with `file:line:column: key: reason`, or `-s key=value: reason` for an
/// override, and for a sweep, which is more than one job; Failure(no_input) if the file is missing
RunConfig read_run_config(const std::filesystem::path& file,
                          const std::vector<std::string>& overrides);

/// The same from text; `name` stands for the file in messages, `folder` resolves relative paths.
RunConfig parse_run_config(const std::string& text, const std::string& name,
                           const std::filesystem::path& folder,
                           const std::vector<std::string>& overrides);

/// What an output depends on, of the job: equal texts mean the same bytes. Folders of state, the
/// device, checkpoints and the evaluation do not count.
std::string output_identity(RunConfig job);

/// The job with every setting spelled out, as YAML; read back it gives the same text.
std::string resolved_text(const RunConfig& config);

}  // namespace shardquant::config
