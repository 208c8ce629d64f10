#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pipeline/formats/tensor_info.hpp"

namespace shardquant::formats {

/// One file of the output folder.
struct OutputShard {
  std::string file_name;  ///< under which it is published
  std::string header;     ///< to be written at byte 0
  std::int64_t file_bytes = 0;
};

/// Where a tensor's bytes go.
struct OutputPlace {
  std::int64_t shard = 0;   ///< index into OutputPlan::shards
  std::int64_t offset = 0;  ///< first byte in that file
  std::int64_t bytes = 0;
};

/// The whole output, known before a byte of it exists.
struct OutputPlan {
  std::vector<OutputShard> shards;
  std::vector<OutputPlace> places;  ///< in the order of the tensors given
  std::int64_t tensor_bytes = 0;    ///< total_size of the index
  std::string index_json;           ///< text of model.safetensors.index.json

  std::int64_t file_bytes() const;  ///< of all shards
};

/// Cuts tensors, given in module order, into shards: a new one starts where the next tensor would
/// bring the file over `shard_mib`; a tensor is never split, so one larger than the limit has a
/// file of its own. Names as ExLlamaV3 chooses them: model-00001-of-0000N.safetensors, and
/// model.safetensors where there is only one. The index is made in both cases (loaders that look
/// for a single file do so first). Pure: the same input gives the same bytes.
/// @pre shard_mib > 0 @throws Failure(internal) where a name is given twice
OutputPlan plan_output_shards(std::span<const TensorSpec> tensors, std::int64_t shard_mib);

}  // namespace shardquant::formats
