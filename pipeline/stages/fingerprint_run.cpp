#include "pipeline/stages/fingerprint_run.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "pipeline/checkpoint/build_identity.hpp"
#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/xxh3.hpp"

namespace shardquant::stages {

namespace {

std::string tensor_headers(const model::SourceModel& model) {
  std::string text;
  for (const formats::SafetensorsFile& file : model.folder.files()) {
    text += fmt::format("{} {}\n", file.name(), file.file_bytes());
    for (const formats::TensorInfo& tensor : file.tensors()) {
      text += fmt::format("{} {} {} {}\n", tensor.name,
                          formats::describe_tensor(tensor.dtype, tensor.shape), tensor.begin,
                          tensor.end);
    }
  }
  return text;
}

std::string option_table(const weights::WeightFormat& format) {
  std::string text;
  for (std::int64_t option = 0; option < format.option_count(); ++option) {
    text += format.option_text(option) + '\n';
  }
  return text;
}

std::string file_hash(const std::filesystem::path& path) {
  constexpr std::int64_t kMostBytes = std::int64_t{1} << 36;
  return checkpoint::xxh3_128_hex(checkpoint::read_whole(path, kMostBytes));
}

// Names of files may hold what names of fields may not.
std::string file_field(std::size_t index, const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  if (name.size() > 64 || !std::all_of(name.begin(), name.end(), is_plain)) {
    name = fmt::format("{}", index + 1);
  }
  return "model.file." + name;
}

}  // namespace

checkpoint::RunFingerprint fingerprint_run(const config::RunConfig& config,
                                           const model::SourceModel& model,
                                           const weights::WeightFormat& format,
                                           const std::vector<std::string>& file_hashes) {
  checkpoint::RunFingerprint fingerprint;
  fingerprint.add(kBuildField, checkpoint::build_identity());
  fingerprint.add("model.config", checkpoint::xxh3_128_hex(model.description.config_text));
  fingerprint.add("model.tensors", checkpoint::xxh3_128_hex(tensor_headers(model)));
  for (std::size_t i = 0; i < file_hashes.size(); ++i) {
    fingerprint.add(file_field(i, model.folder.files()[i].name()), file_hashes[i]);
  }
  fingerprint.add("calibration.tokens", file_hash(config.calibration.tokens));
  fingerprint.add("calibration.rows", fmt::format("{}", config.calibration.rows));
  fingerprint.add("calibration.length", fmt::format("{}", config.calibration.length));
  fingerprint.add("calibration.slice_rows", fmt::format("{}", config.calibration.slice_rows));
  fingerprint.add("output.format", std::string(format.name()));
  fingerprint.add("measure.options", checkpoint::xxh3_128_hex(option_table(format)));
  fingerprint.add("measure.err_norm", config.measure.err_norm);
  fingerprint.add("quantizer.damping", fmt::format("{}", config.quantizer.damping));
  fingerprint.add("quantizer.damping_floor", fmt::format("{}", config.quantizer.damping_floor));
  fingerprint.add("quantizer.damping_tries", fmt::format("{}", config.quantizer.damping_tries));
  fingerprint.add("quantizer.shrink_low", fmt::format("{}", config.quantizer.shrink_low));
  fingerprint.add("quantizer.shrink_high", fmt::format("{}", config.quantizer.shrink_high));
  fingerprint.add("quantizer.shrink_steps", fmt::format("{}", config.quantizer.shrink_steps));
  fingerprint.add("quantizer.scale_objective", config.quantizer.scale_objective);
  fingerprint.add("quantizer.scale_rounding", config.quantizer.scale_rounding);
  return fingerprint;
}

checkpoint::RunFingerprint calibration_part(const checkpoint::RunFingerprint& fingerprint) {
  // Of the measurement the norm: sketches for it lie beside the Hessians.
  return fingerprint.part({kBuildField, "model.", "calibration.", "measure.err_norm"});
}

}  // namespace shardquant::stages
