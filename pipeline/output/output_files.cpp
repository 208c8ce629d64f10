#include "pipeline/output/output_files.hpp"

#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"
#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/formats/shard_file.hpp"

namespace shardquant::output {

namespace {

using formats::Overwrite;

bool holds_header(const std::filesystem::path& folder, const formats::OutputShard& shard) {
  try {
    const auto file = formats::open_partial(folder, shard.file_name, shard.file_bytes);
    std::string header(shard.header.size(), '\0');
    file.read_exact(0, std::as_writable_bytes(std::span(header)));
    return header == shard.header;
  } catch (const Failure&) {
    return false;
  }
}

}  // namespace

void OutputFiles::create(const std::filesystem::path& folder, const OutputLayout& layout,
                         bool keep) {
  for (const formats::OutputShard& shard : layout.plan.shards) {
    if (keep && holds_header(folder, shard)) continue;
    const auto file =
        formats::create_partial(folder, shard.file_name, shard.file_bytes, Overwrite::no);
    file.write_exact(0, std::as_bytes(std::span(shard.header)));
    file.sync();
  }
}

OutputFiles::OutputFiles(const std::filesystem::path& folder, const OutputLayout& layout)
    : layout_(layout) {
  for (const formats::OutputShard& shard : layout.plan.shards) {
    shards_.push_back(formats::open_partial(folder, shard.file_name, shard.file_bytes));
  }
}

void OutputFiles::write(std::int64_t index, std::int64_t offset,
                        std::span<const std::byte> bytes) const {
  const formats::OutputPlace& place = layout_.plan.places[static_cast<std::size_t>(index)];
  if (offset + static_cast<std::int64_t>(bytes.size()) > place.bytes) {
    fail(ExitCode::internal, "{}: more bytes than the layout has room for",
         layout_.tensors[static_cast<std::size_t>(index)].name);
  }
  shards_[static_cast<std::size_t>(place.shard)].write_exact(place.offset + offset, bytes);
}

std::vector<std::byte> OutputFiles::read(std::int64_t index) const {
  const formats::OutputPlace& place = layout_.plan.places[static_cast<std::size_t>(index)];
  std::vector<std::byte> bytes(static_cast<std::size_t>(place.bytes));
  shards_[static_cast<std::size_t>(place.shard)].read_exact(place.offset, bytes);
  return bytes;
}

void OutputFiles::sync() const {
  for (const formats::FileHandle& shard : shards_) shard.sync();
}

void OutputFiles::publish(const std::filesystem::path& folder, const OutputLayout& layout,
                          Overwrite overwrite) {
  for (const formats::OutputShard& shard : layout.plan.shards) {
    formats::publish_partial(folder, shard.file_name, Overwrite::no);
    faults::reach(faults::Point::shard_published, shard.file_name);
  }
  formats::write_file(folder / formats::kIndexFileName, layout.plan.index_json, overwrite);
}

void OutputFiles::unpublish(const std::filesystem::path& folder, const OutputLayout& layout) {
  for (const formats::OutputShard& shard : layout.plan.shards) {
    formats::withdraw_published(folder, shard.file_name);
  }
}

}  // namespace shardquant::output
