#include "pipeline/output/layer_state.hpp"

#include <algorithm>
#include <filesystem>
#include <string>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/folder_files.hpp"
#include "pipeline/output/write_model.hpp"

namespace shardquant::output {

namespace {

namespace fs = std::filesystem;

constexpr const char* kOutputKind = "published output";
constexpr const char* kOutputName = "output";
constexpr const char* kPublishingKind = "output that is being published";
constexpr const char* kPublishingName = "publishing";

std::string layer_kind(const std::string& key) {
  return "quantized layer " + key;
}

// Of the layer's tensors.
std::vector<std::int64_t> hashes_in_shards(const OutputFiles& files, const OutputLayout& output,
                                           std::int64_t layer) {
  const std::int64_t first = output.first_of_linear[static_cast<std::size_t>(layer)];
  const std::int64_t count = output.tensors_of_linear[static_cast<std::size_t>(layer)];
  std::vector<std::int64_t> hashes;
  for (std::int64_t i = first; i < first + count; ++i) {
    checkpoint::Xxh3 hash(checkpoint::Xxh3::Width::bits_64);
    hash.update(files.read(i));
    hashes.push_back(static_cast<std::int64_t>(hash.digest_64()));
  }
  return hashes;
}

bool is_finished(const waves::Job& job, const AllocatedModel& allocated, std::int64_t layer,
                 const OutputFiles& files, const std::string& fingerprint) {
  if (!allocated.output.is_quantized(layer)) return false;
  const std::string& key = job.model.layer(layer).key;
  const auto path = job.work.quantized(key);
  if (!checkpoint::state_file_is_usable(path, layer_kind(key), fingerprint)) return false;
  checkpoint::StateFileReader record(path, layer_kind(key), fingerprint);
  return record.read<std::int64_t>("tensor_hashes") ==
         hashes_in_shards(files, allocated.output, layer);
}

std::vector<std::string> shard_names(const AllocatedModel& allocated) {
  std::vector<std::string> names;
  for (const auto& shard : allocated.output.plan.shards) names.push_back(shard.file_name);
  return names;
}

}  // namespace

std::string output_fingerprint(const waves::Job& job, const AllocatedModel& allocated) {
  return job.fingerprint + ':' +
         records::content_hash(records::plan_text(allocated.plan) + '\n' +
                               allocated.output.plan.index_json + '\n' +
                               job.config.output.dir.string());
}

void save_layer(const waves::Job& job, const AllocatedModel& allocated, std::int64_t layer,
                const QuantizedLayer& quantized, const OutputFiles& files) {
  const std::string& key = job.model.layer(layer).key;
  checkpoint::StateFileWriter record(job.work.quantized(key), layer_kind(key),
                                     output_fingerprint(job, allocated));
  record.add_number("err", quantized.err);
  record.add_integer("flushed_groups", quantized.flushed_groups);
  record.write<std::int64_t>("tensor_hashes", hashes_in_shards(files, allocated.output, layer));
  record.commit();
}

std::vector<bool> find_finished_layers(const waves::RunContext& context,
                                       const AllocatedModel& allocated, const OutputFiles& files) {
  const std::int64_t layers = std::ssize(context.model.layout.linear_layers);
  const std::string fingerprint = output_fingerprint(context, allocated);
  std::vector<std::byte> mine(static_cast<std::size_t>(layers));
  comm::on_all(context.comm, [&] {
    for (std::int64_t i = context.comm.rank(); i < layers; i += context.comm.size()) {
      mine[static_cast<std::size_t>(i)] =
          std::byte{is_finished(context, allocated, i, files, fingerprint)};
    }
  });
  return comm::any_of_ranks(context.comm, mine);
}

bool prepare_output(const waves::RunContext& context, const AllocatedModel& allocated) {
  const fs::path& folder = context.config.output.dir;
  const bool interrupted =
      checkpoint::state_file_is_usable(context.work.quantized(kPublishingName), kPublishingKind,
                                       output_fingerprint(context, allocated));
  if (interrupted) OutputFiles::unpublish(folder, allocated.output);
  formats::require_safe_target(context.model.folder.path(), folder, shard_names(allocated),
                               formats::Overwrite::no);
  for (const std::string& name : side_files(context)) {
    if (!interrupted && fs::exists(folder / name)) {
      fail(ExitCode::cannot_create,
           "{}: {} is there already and would be replaced; remove it or "
           "choose another output folder",
           folder.string(), name);
    }
  }
  checkpoint::create_folders_durably(folder);
  OutputFiles::create(folder, allocated.output, true);
  return interrupted;
}

bool output_is_published(const waves::Job& job, const AllocatedModel& allocated) {
  const auto path = job.work.quantized(kOutputName);
  if (!checkpoint::state_file_is_usable(path, kOutputKind, output_fingerprint(job, allocated))) {
    return false;
  }
  for (const auto& shard : allocated.output.plan.shards) {
    std::error_code error;
    const auto bytes = fs::file_size(job.config.output.dir / shard.file_name, error);
    if (error || bytes != static_cast<std::uintmax_t>(shard.file_bytes)) return false;
  }
  const auto names = side_files(job);
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    // The card comes after that, in a step of its own.
    return name == formats::kModelCardName || fs::exists(job.config.output.dir / name);
  });
}

void mark_publishing(const waves::Job& job, const AllocatedModel& allocated) {
  checkpoint::StateFileWriter record(job.work.quantized(kPublishingName), kPublishingKind,
                                     output_fingerprint(job, allocated));
  record.commit();
}

void mark_published(const waves::Job& job, const AllocatedModel& allocated) {
  checkpoint::StateFileWriter record(job.work.quantized(kOutputName), kOutputKind,
                                     output_fingerprint(job, allocated));
  record.commit();
  // With it gone nothing in the output folder is taken for ours to replace.
  fs::remove(job.work.quantized(kPublishingName));
}

}  // namespace shardquant::output
