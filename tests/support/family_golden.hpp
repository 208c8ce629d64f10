#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace shardquant::tests {

/// One run of the reference: a config and the logits it gives on some of the rows.
struct GoldenRun {
  std::string name;                ///< "base" first, then the variants
  std::string config;              ///< text of config.json
  std::vector<std::int64_t> rows;  ///< indices into FamilyGolden::rows
  double range = 0.0;              ///< largest less smallest logit, to measure differences by
  double effect = 0.0;        ///< largest difference from the base's logits, as a share of range
  std::vector<float> logits;  ///< [positions of all its rows in turn, vocabulary]
  std::vector<float> mean_logits;  ///< [rows, vocabulary], over all positions of a row
};

/// What transformers computes for a tiny model: tests/data/families/NAME, see the README there.
struct FamilyGolden {
  std::string reference;  ///< class and versions that computed it
  std::uint64_t seed = 0;
  std::int64_t vocabulary = 0;
  std::vector<std::vector<std::int32_t>> rows;       ///< tokens
  std::vector<std::vector<std::int64_t>> positions;  ///< per row, those whose logits are kept
  std::vector<GoldenRun> runs;
};

/// Names of all recorded families, sorted.
std::vector<std::string> golden_families();

/// @throws std::runtime_error where a file is missing or logits.f32 has another size than told
FamilyGolden read_family_golden(const std::string& family);

/// Writes a folder with the run's config.json and model.safetensors (fp32, one file); the weights
/// are the same for every run of a family.
void write_golden_model(const std::filesystem::path& folder, const std::string& family,
                        const FamilyGolden& golden, const GoldenRun& run);

}  // namespace shardquant::tests
