#pragma once

#include <string>
#include <vector>

#include "pipeline/formats/shard_file.hpp"
#include "pipeline/output/output_files.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::output {

/// Writes what is not quantized (embedding, norms, a head that is kept) in the format's plain type,
/// dealt out to the ranks by bytes. Collective in that every rank takes its share.
/// @throws Failure(bad_data) where a value is NaN, infinite or beyond fp16
void write_plain_tensors(const waves::RunContext& context, const OutputLayout& layout,
                         const OutputFiles& files);

/// Names of the files beside the shards: index, config.json, measurement.json, plan.json, the
/// source's companion files, the checksums and README.md, which write_card adds.
std::vector<std::string> side_files(const waves::Job& job);

/// Names of all files whose checksums lie beside them: the shards, and the side files but README.md
/// and the checksums themselves.
std::vector<std::string> checked_files(const waves::Job& job, const OutputLayout& layout);

/// Root, when all tensors of all ranks are durable: gives the shards their names and writes the
/// side files but README.md and the checksums. overwrite: yes where an interrupted run left some of
/// them.
void publish_model(const waves::Job& job, const OutputLayout& layout, double achieved_bpw,
                   formats::Overwrite overwrite);

}  // namespace shardquant::output
