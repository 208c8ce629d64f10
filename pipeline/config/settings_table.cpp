#include "pipeline/config/settings_table.hpp"

#include <fmt/format.h>

#include <type_traits>

#include "pipeline/allocation/objective_names.hpp"
#include "pipeline/formats/weights/weight_formats.hpp"

namespace shardquant::config {

namespace {

template <auto Section, auto Member>
auto& at(RunConfig& config) {
  return (config.*Section).*Member;
}

std::int64_t& version(RunConfig& config) {
  return config.version;
}

std::vector<Setting> make_table() {
  using C = RunConfig;
  constexpr bool kRequired = true;
  constexpr bool kHasDefault = false;
  return {
      {"version", IntegerChoiceSetting{version, {1}}, kRequired, "Version of this schema."},
      {"model.path", PathSetting{at<&C::model, &C::Model::path>}, kRequired,
       "Folder of the Hugging Face model: config.json and safetensors files."},
      {"model.links", WordSetting{at<&C::model, &C::Model::links>, {"contained", "follow"}},
       kHasDefault,
       "Symbolic links in the model's folder: only those that stay inside it, or in the blobs of "
       "the hub cache it is a snapshot of (`contained`), or all (`follow`), as for a folder of "
       "links to a shared store."},
      {"calibration.tokens", PathSetting{at<&C::calibration, &C::Calibration::tokens>}, kHasDefault,
       "Calibration tokens: a stream of int32 (little endian), or safetensors with "
       "`input_ids` [rows, length]. One of `tokens`, `text` and `sources` is required."},
      {"calibration.text", PathSetting{at<&C::calibration, &C::Calibration::text>}, kHasDefault,
       "Calibration text: short for `sources` with this one path."},
      {"calibration.sources", SourceListSetting{at<&C::calibration, &C::Calibration::sources>},
       kHasDefault,
       "Where calibration rows come from; docs/calibration.md. `kind` is auto, text, jsonl, "
       "json, tokens or safetensors, `field` the one of a JSON object with the text, `weight` a "
       "share of the rows."},
      {"calibration.tokenizer", PathSetting{at<&C::calibration, &C::Calibration::tokenizer>},
       kHasDefault,
       "tokenizer.json or tokenizer.model, or a folder with one; left out: the model's."},
      {"calibration.document_separator",
       TextSetting{at<&C::calibration, &C::Calibration::document_separator>, 256}, kHasDefault,
       "What stands between the documents of a text file; empty: a file is one document."},
      {"calibration.bos",
       WordSetting{at<&C::calibration, &C::Calibration::bos>, {"auto", "document", "row", "none"}},
       kHasDefault,
       "Where the BOS token is put: before every `document`, every `row`, or nowhere; `auto`: "
       "before every document where the tokenizer puts one before a text by itself. A text that "
       "begins with it gets no second one."},
      {"calibration.seed",
       IntegerSetting{at<&C::calibration, &C::Calibration::seed>, 0, std::int64_t{1} << 62},
       kHasDefault, "Shuffles the documents of every source; 0 leaves them in order."},
      {"calibration.dedupe",
       WordSetting{at<&C::calibration, &C::Calibration::dedupe>, {"none", "exact"}}, kHasDefault,
       "`exact` drops documents that were there before, byte for byte."},
      {"calibration.rows", IntegerSetting{at<&C::calibration, &C::Calibration::rows>, 1, 1 << 20},
       kRequired, "Rows taken from the calibration tokens, from the start, or from the sources."},
      {"calibration.length",
       IntegerSetting{at<&C::calibration, &C::Calibration::length>, 2, 1 << 20}, kRequired,
       "Tokens of a row."},
      {"calibration.slice_rows",
       IntegerSetting{at<&C::calibration, &C::Calibration::slice_rows>, 1, 1 << 16}, kHasDefault,
       "Rows of a slice, the unit dealt out to the ranks. Results do not depend on the number of "
       "ranks, but they do, in the last digits, on this."},
      {"calibration.measurement_rows",
       IntegerSetting{at<&C::calibration, &C::Calibration::measurement_rows>, 0, 1 << 20},
       kHasDefault,
       "Further rows of the sources, kept apart from those for calibration in "
       "`measurement_rows.i32` of the work folder."},
      {"calibration.validation_rows",
       IntegerSetting{at<&C::calibration, &C::Calibration::validation_rows>, 0, 1 << 20},
       kHasDefault,
       "Further rows of the sources, kept apart from both in `validation_rows.i32`, for the "
       "evaluation; 0: see `evaluation.rows`."},
      {"measure.options", WordSetting{at<&C::measure, &C::Measure::options>, {"exl2-2023"}},
       kHasDefault,
       "Table of quantization options tried on every linear layer, of the format exl2; others have "
       "one table."},
      {"measure.asymmetric",
       WordSetting{at<&C::measure, &C::Measure::asymmetric>, {"false", "true"}}, kHasDefault,
       "Whether options with a zero point per group are tried as well; of the format "
       "compressed-tensors."},
      {"measure.err_norm",
       WordSetting{at<&C::measure, &C::Measure::err_norm>, {"pooled", "row_mean"}}, kHasDefault,
       "Error of an option: `pooled` over all calibration rows, in closed form from the Hessian; "
       "`row_mean`, the mean of the rows' ratios as ExLlamaV2 takes it."},
      {"measure.file", PathSetting{at<&C::measure, &C::Measure::file>}, kHasDefault,
       "A measurement.json of the 2023 schema for this model, by this program or ExLlamaV2, that "
       "is "
       "taken in place of measuring."},
      {"quantizer.damping", RealSetting{at<&C::quantizer, &C::Quantizer::damping>, 0.0, 10.0},
       kHasDefault,
       "Added to the diagonal of a Hessian, times its mean: 0.07 in ExLlamaV2 of 2023, 0.12 in "
       "2024."},
      {"quantizer.damping_floor",
       RealSetting{at<&C::quantizer, &C::Quantizer::damping_floor>, 1e-12, 1e6}, kHasDefault,
       "Least value added to the diagonal."},
      {"quantizer.damping_tries",
       IntegerSetting{at<&C::quantizer, &C::Quantizer::damping_tries>, 1, 32}, kHasDefault,
       "Factorizations tried in fp32, each with twice the damping of the one before; then one in "
       "fp64."},
      {"quantizer.max_rtn_layers",
       IntegerSetting{at<&C::quantizer, &C::Quantizer::max_rtn_layers>, 0, 1'000'000}, kHasDefault,
       "Linear layers that may be rounded to nearest because their Hessian cannot be factored; "
       "with "
       "one more the run ends."},
      {"quantizer.shrink_low", RealSetting{at<&C::quantizer, &C::Quantizer::shrink_low>, 0.01, 2.0},
       kHasDefault, "First factor of the scale search: 0.75 in ExLlamaV2 of 2023, 0.7 in 2024."},
      {"quantizer.shrink_high",
       RealSetting{at<&C::quantizer, &C::Quantizer::shrink_high>, 0.01, 2.0}, kHasDefault,
       "Last factor of the scale search, at least `shrink_low`: 1 in 2023, 1.2 in 2024."},
      {"quantizer.shrink_steps",
       IntegerSetting{at<&C::quantizer, &C::Quantizer::shrink_steps>, 1, 1024}, kHasDefault,
       "Steps between the two; one factor more is tried: 48 in 2023, 96 in 2024."},
      {"quantizer.scale_objective",
       WordSetting{at<&C::quantizer, &C::Quantizer::scale_objective>,
                   {"weighted", "simulated", "squared"}},
       kHasDefault,
       "What the search for scales minimizes in a group, in formats whose scales are settled "
       "before "
       "the sweep (compressed-tensors): squared errors `weighted` by the Hessian's diagonal, the "
       "`simulated` loss of the sweep in the group, or `squared` errors alone."},
      {"quantizer.scale_rounding",
       WordSetting{at<&C::quantizer, &C::Quantizer::scale_rounding>, {"reader", "exl2-2023"}},
       kHasDefault,
       "Scale that is searched and measured with: the one the `reader` of the file rebuilds, or "
       "the unrounded one of `exl2-2023`."},
      {"sensitivity.rows", IntegerSetting{at<&C::sensitivity, &C::Sensitivity::rows>, 0, 1 << 16},
       kHasDefault,
       "Calibration rows, spread over all of them, on which every linear layer is quantized alone "
       "to see what that does to the model's predictions; used for the objective `kl` only. 0: not "
       "measured, and `sum_squares` takes the place of `kl`."},
      {"sensitivity.length",
       IntegerSetting{at<&C::sensitivity, &C::Sensitivity::length>, 2, 1 << 20}, kHasDefault,
       "Tokens taken of each of these rows, from its start; at most `calibration.length`. Many "
       "texts matter more than long ones."},
      {"sensitivity.option", TextSetting{at<&C::sensitivity, &C::Sensitivity::option>, 256},
       kHasDefault,
       "Option that the layers are quantized with for it, as plan.json writes it; empty: the one "
       "nearest to 3.13 bits per weight (`1.0:3b 32g s4`); where a layer "
       "does "
       "not have it, the nearest one in bits."},
      {"sensitivity.per", WordSetting{at<&C::sensitivity, &C::Sensitivity::per>, {"layer", "part"}},
       kHasDefault,
       "What is quantized at a time: one `layer`, or all layers of a `part` of a block (attention, "
       "MLP), whose share is told from what each does to the block's output: several times "
       "cheaper, "
       "slightly worse; for very large models."},
      {"allocate.bpw", RealSetting{at<&C::allocate, &C::Allocate::bpw>, 1.0, 16.0}, kHasDefault,
       "Bits per weight of the linear layers, head apart; never exceeded but by the objective "
       "`exl2-2023`."},
      {"allocate.size", TextSetting{at<&C::allocate, &C::Allocate::size>, 64, true}, kHasDefault,
       "In place of `bpw`: bytes that the whole output folder may take, as 24GiB or 800MB."},
      {"allocate.plan", PathSetting{at<&C::allocate, &C::Allocate::plan>}, kHasDefault,
       "In place of `bpw`: a plan.json, as `shardquant solve --out` writes it, that is carried out "
       "as it is."},
      {"allocate.tolerance", RealSetting{at<&C::allocate, &C::Allocate::tolerance>, 0.0, 1.0},
       kHasDefault, "Relative gap to the proven bound at which the search may end."},
      {"allocate.pin", TextListSetting{at<&C::allocate, &C::Allocate::pin>}, kHasDefault,
       "`PATTERN=OPTION`: layers that take this option (its desc, or #index); patterns as of "
       "`solve`, docs/allocation.md."},
      {"allocate.floor", TextListSetting{at<&C::allocate, &C::Allocate::floor>}, kHasDefault,
       "`PATTERN=BPW`: layers that take no option of fewer bits per weight."},
      {"allocate.ceiling", TextListSetting{at<&C::allocate, &C::Allocate::ceiling>}, kHasDefault,
       "`PATTERN=BPW`: layers that take none of more."},
      {"allocate.tie", TextListSetting{at<&C::allocate, &C::Allocate::tie>}, kHasDefault,
       "`PATTERN`: layers that take the same option, block by block."},
      {"allocate.tie_all", TextListSetting{at<&C::allocate, &C::Allocate::tie_all>}, kHasDefault,
       "`PATTERN`: layers that take the same option in all blocks."},
      {"allocate.weights", PathSetting{at<&C::allocate, &C::Allocate::weights>}, kHasDefault,
       "JSON file {PATTERN: weight}, for the objective `weighted`."},
      {"allocate.objective",
       WordSetting{at<&C::allocate, &C::Allocate::objective>, allocation::objective_names()},
       kHasDefault,
       "What the allocation minimizes over the layers: `kl` = the sum of squared errors, each "
       "times "
       "what was measured of its effect on the predictions (section sensitivity), the `sum` of "
       "errors, `nll` = -sum "
       "log(1 - err), `sum_squares`, `log` = sum log err, `minimax_sum` = the largest error, then "
       "their sum, `weighted` = errors times layer weights; `exl2-2023` is ExLlamaV2's rule of "
       "2023, not an optimum."},
      {"allocate.head_bits",
       IntegerChoiceSetting{at<&C::allocate, &C::Allocate::head_bits>, {2, 3, 4, 5, 6, 8, 16}},
       kHasDefault,
       "Bits of the output head; 16 keeps it as it is, which is the default of formats that have "
       "no "
       "other, as compressed-tensors."},
      {"quantize.hessians",
       WordSetting{at<&C::quantize, &C::Quantize::hessians>, {"auto", "keep", "recompute"}},
       kHasDefault,
       "Hessians between measuring and quantizing: `keep` them in the work folder, `recompute` "
       "them, or decide by their size."},
      {"evaluation.rows", IntegerSetting{at<&C::evaluation, &C::Evaluation::rows>, 0, 1 << 20},
       kHasDefault,
       "Rows that calibration does not see, on which the output is compared with the model at the "
       "end of `run`: `calibration.validation_rows` where given, else as many as the tokens or "
       "sources have left, up to this number; 0: no evaluation."},
      {"output.dir", PathSetting{at<&C::output, &C::Output::dir>}, kRequired,
       "Folder of the quantized model."},
      {"output.format",
       WordSetting{at<&C::output, &C::Output::format>, weights::weight_format_names()}, kHasDefault,
       "Form in which quantized weights are stored, and with it the options there are; "
       "docs/formats.md."},
      {"output.shard_mib", IntegerSetting{at<&C::output, &C::Output::shard_mib>, 1, 1 << 20},
       kHasDefault, "Largest size of an output file, in MiB."},
      {"work.dir", PathSetting{at<&C::work, &C::Work::dir>}, kRequired,
       "Folder of the run's state: what a restart goes on from. All ranks must see it."},
      {"work.measured_in", PathSetting{at<&C::work, &C::Work::measured_in>}, kHasDefault,
       "Work folder of another job that has measured the same model with the same settings: its "
       "rows, measurement and Hessians are used and never written. Left out: this job measures "
       "itself."},
      {"work.hessians_in", PathSetting{at<&C::work, &C::Work::hessians_in>}, kHasDefault,
       "Work folder of another job with the same calibration, whose kept Hessians are used and "
       "never written. Left out: `work.measured_in` where that is given."},
      {"checkpoint.every_s",
       IntegerSetting{at<&C::checkpoint, &C::Checkpoint::every_s>, 0, 1 << 20}, kHasDefault,
       "Seconds between two stored hidden states, in the work folder; 0: after every wave of "
       "blocks. What was measured and quantized is stored at once in any case."},
      {"device.kind", WordSetting{at<&C::device, &C::Device::kind>, {"auto", "cpu", "cuda"}},
       kHasDefault, "Where the numbers are computed; `auto` takes a GPU where there is one."},
      {"device.threads", IntegerSetting{at<&C::device, &C::Device::threads>, 1, 1024}, kHasDefault,
       "Host threads of one rank."},
  };
}

// "a", "a or b", "a, b or c"
template <class Values>
std::string either(const Values& values) {
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += i + 1 == values.size() ? " or " : ", ";
    text += fmt::format("{}", values[i]);
  }
  return text;
}

struct AllowedValues {
  std::string operator()(const IntegerSetting& type) const {
    return fmt::format("an integer from {} to {}", type.least, type.most);
  }
  std::string operator()(const IntegerChoiceSetting& type) const { return either(type.values); }
  std::string operator()(const RealSetting& type) const {
    return fmt::format("a number from {} to {}", type.least, type.most);
  }
  std::string operator()(const WordSetting& type) const { return either(type.words); }
  std::string operator()(const PathSetting&) const { return "a path"; }
  std::string operator()(const TextSetting& type) const {
    return fmt::format("a text of at most {} bytes", type.most_bytes);
  }
  std::string operator()(const TextListSetting&) const { return "a list of texts"; }
  std::string operator()(const SourceListSetting&) const {
    return "a list of {path, kind, field, weight}";
  }
};

std::string yaml_quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (c == '\n') {
      result += "\\n";
    } else {
      result += c;
    }
  }
  return result + '"';
}

std::string text_list(const std::vector<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) list += (list.empty() ? "" : ", ") + yaml_quoted(text);
  return '[' + list + ']';
}

std::string source_list(const std::vector<RunConfig::Source>& sources) {
  std::string text;
  for (const RunConfig::Source& source : sources) {
    text += fmt::format("{}{{path: {}, kind: {}, field: {}, weight: {}}}", text.empty() ? "" : ", ",
                        yaml_quoted(source.path.string()), source.kind, yaml_quoted(source.field),
                        source.weight);
  }
  return '[' + text + ']';
}

}  // namespace

std::string Setting::section() const {
  const std::size_t dot = path.find('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

std::string Setting::key() const {
  return path.substr(path.find('.') + 1);
}

const std::vector<Setting>& settings_table() {
  static const std::vector<Setting> table = make_table();
  return table;
}

const Setting* find_setting(std::string_view path) {
  for (const Setting& setting : settings_table()) {
    if (setting.path == path) return &setting;
  }
  return nullptr;
}

std::string allowed_values(const Setting& setting) {
  return std::visit(AllowedValues{}, setting.type);
}

const std::vector<std::string>& source_kinds() {
  static const std::vector<std::string> kinds{"auto", "text",   "jsonl",
                                              "json", "tokens", "safetensors"};
  return kinds;
}

bool has_value(const Setting& setting, const RunConfig& config) {
  RunConfig copy = config;
  if (setting.path == "allocate.bpw") {
    return config.allocate.size.empty() && config.allocate.plan.empty();
  }
  if (const auto* text = std::get_if<TextSetting>(&setting.type)) {
    return !text->may_be_absent || !text->field(copy).empty();
  }
  if (const auto* texts = std::get_if<TextListSetting>(&setting.type)) {
    return !texts->field(copy).empty();
  }
  if (const auto* path = std::get_if<PathSetting>(&setting.type)) return !path->field(copy).empty();
  const auto* list = std::get_if<SourceListSetting>(&setting.type);
  return list == nullptr || !list->field(copy).empty();
}

std::string value_text(const Setting& setting, const RunConfig& config) {
  RunConfig copy = config;
  return std::visit(
      [&]<class Type>(const Type& type) {
        if constexpr (std::is_same_v<Type, PathSetting>) {
          return yaml_quoted(type.field(copy).string());
        } else if constexpr (std::is_same_v<Type, TextSetting>) {
          return yaml_quoted(type.field(copy));
        } else if constexpr (std::is_same_v<Type, TextListSetting>) {
          return text_list(type.field(copy));
        } else if constexpr (std::is_same_v<Type, SourceListSetting>) {
          return source_list(type.field(copy));
        } else {
          return fmt::format("{}", type.field(copy));
        }
      },
      setting.type);
}

}  // namespace shardquant::config
