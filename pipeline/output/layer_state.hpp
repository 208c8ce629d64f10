#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/output/allocated_model.hpp"
#include "pipeline/output/output_files.hpp"
#include "pipeline/output/quantize_layer.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::output {

// What is known of quantized layers, in the work folder: the bytes themselves lie in the output's
// shards.

/// What records of an output carry: they speak of one plan in one folder, and another plan, or the
/// same one written elsewhere, is another.
std::string output_fingerprint(const waves::Job& job, const AllocatedModel& allocated);

/// Records that a layer's tensors are in the partial shards, with their hashes, read back from
/// there. @throws Failure(io_error)
void save_layer(const waves::Job& job, const AllocatedModel& allocated, std::int64_t layer,
                const QuantizedLayer& quantized, const OutputFiles& files);

/// By linear layer: whether a record of this run, plan and output folder is there and the shard's
/// bytes agree with it. Every rank checks its share, all get the whole answer. Collective.
std::vector<bool> find_finished_layers(const waves::RunContext& context,
                                       const AllocatedModel& allocated, const OutputFiles& files);

/// Root: creates the partial shards in the output folder, or keeps those of an interrupted run of
/// the same plan. Where that run was interrupted while it gave the shards their names, takes the
/// names back, so that everything is checked again. Returns whether it was.
/// @throws Failure(cannot_create) where the folder holds files of others that the output would
/// replace, and as OutputFiles::create
bool prepare_output(const waves::RunContext& context, const AllocatedModel& allocated);

/// Root: whether a run of this plan finished this output folder and its files are all there, apart
/// from README.md.
bool output_is_published(const waves::Job& job, const AllocatedModel& allocated);
/// Root: records that from now on files of the output get their names.
void mark_publishing(const waves::Job& job, const AllocatedModel& allocated);
/// Root: records that the output is complete.
void mark_published(const waves::Job& job, const AllocatedModel& allocated);

}  // namespace shardquant::output
