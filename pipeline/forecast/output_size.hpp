#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/allocation/folder_size.hpp"
#include "pipeline/formats/model_directory.hpp"
#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/model_layout.hpp"
#include "pipeline/output/output_layout.hpp"
#include "pipeline/records/measurement_file.hpp"
#include "pipeline/records/plan_file.hpp"

namespace shardquant::forecast {

/// What the output folder of a model weighs, before anything of it exists: shards with their
/// headers, index, config.json, the files copied from the source, measurement.json, plan.json and
/// README.md.
class OutputSize {
 public:
  /// Needs config.json and the files to be copied of the source folder, not its weights.
  /// @throws Failure: no_input, bad_data as the readers; config for head bits that the format lacks
  OutputSize(const std::filesystem::path& source, const weights::WeightFormat& format,
             int head_bits, std::int64_t shard_mib,
             formats::LinkPolicy links = formats::LinkPolicy::contained);

  /// The size as a sum over layers, for the allocation; fixed_bytes is an upper bound.
  /// @throws Failure(bad_data) where the measurement is one of another model or format
  allocation::FolderSize by_layer(const records::Measurement& measurement) const;

  /// The size with the options of a plan of that measurement, exact but for the digits of a few
  /// numbers in config.json and README.md. @pre plan.recipes is filled in
  std::int64_t bytes(const records::Measurement& measurement, const records::Plan& plan) const;

 private:
  void require_same_model(const records::Measurement& measurement) const;
  output::OutputLayout layout_with(const std::vector<std::int64_t>& options) const;
  std::int64_t config_bytes(double bpw, const output::LayerOptions& options) const;
  std::int64_t card_bytes() const;
  std::int64_t checksums_bytes(const output::OutputLayout& layout) const;

  std::string source_;
  const weights::WeightFormat& format_;
  int head_bits_;
  std::int64_t shard_mib_;
  std::int64_t copied_bytes_ = 0;
  std::vector<std::string> copied_names_;
  model::ModelDescription description_;
  model::ModelLayout layout_;
};

}  // namespace shardquant::forecast
