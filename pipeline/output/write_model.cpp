#include "pipeline/output/write_model.hpp"

#include <algorithm>
#include <string>

#include "pipeline/comm/assign_work.hpp"
#include "pipeline/formats/folder_files.hpp"
#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/formats/shard_file.hpp"
#include "pipeline/output/output_checksums.hpp"
#include "pipeline/output/reader_fields.hpp"

namespace shardquant::output {

namespace {

// A tensor that is copied: where it comes from and which output tensor it becomes.
struct Copy {
  std::string source;
  std::int64_t output = 0;
};

std::vector<Copy> tensors_to_copy(const model::SourceModel& model, const OutputLayout& layout) {
  std::vector<Copy> copies;
  for (std::size_t i = 0; i < model.layout.plain_tensors.size(); ++i) {
    copies.push_back(
        {model.tensors.plain_name(static_cast<std::int64_t>(i)), layout.first_of_plain[i]});
  }
  for (std::int64_t layer = 0; layer < std::ssize(layout.options); ++layer) {
    if (layout.is_quantized(layer)) continue;
    const std::int64_t first = layout.first_of_linear[static_cast<std::size_t>(layer)];
    copies.push_back({model.tensors.weight_name(layer), first});
    if (model.layer(layer).has_bias)
      copies.push_back({model.layer(layer).key + ".bias", first + 1});
  }
  return copies;
}

// Streams one tensor in pieces, so that an embedding of any size needs little memory.
void copy_tensor(const model::SourceModel& model, const Copy& copy,
                 const formats::TensorSpec& target, const OutputFiles& files) {
  constexpr std::int64_t kPiece = std::int64_t{4} << 20;
  const std::int64_t width = formats::dtype_bytes(target.dtype);
  const std::int64_t elements = target.bytes() / width;
  std::vector<std::byte> piece;
  for (std::int64_t first = 0; first < elements; first += kPiece) {
    piece.resize(static_cast<std::size_t>(std::min(kPiece, elements - first) * width));
    model::read_as(model.folder, copy.source, target.dtype, first, piece);
    files.write(copy.output, first * width, piece);
  }
}

}  // namespace

void write_plain_tensors(const waves::RunContext& context, const OutputLayout& layout,
                         const OutputFiles& files) {
  const std::vector<Copy> copies = tensors_to_copy(context.model, layout);
  std::vector<double> bytes;
  for (const Copy& copy : copies) {
    bytes.push_back(
        static_cast<double>(layout.tensors[static_cast<std::size_t>(copy.output)].bytes()));
  }
  std::vector<double> load(static_cast<std::size_t>(context.comm.size()));
  const std::vector<int> owners = comm::assign_work(bytes, load);
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (owners[i] != context.comm.rank()) continue;
    copy_tensor(context.model, copies[i],
                layout.tensors[static_cast<std::size_t>(copies[i].output)], files);
  }
}

std::vector<std::string> side_files(const waves::Job& job) {
  std::vector<std::string> names = formats::companion_files(job.model.folder.directory());
  for (const auto& file : {job.work.measurement(), job.work.plan()}) {
    names.push_back(file.filename().string());
  }
  names.emplace_back(formats::kIndexFileName);
  names.emplace_back("config.json");
  names.emplace_back(kChecksumsName);
  names.emplace_back(formats::kModelCardName);
  return names;
}

std::vector<std::string> checked_files(const waves::Job& job, const OutputLayout& layout) {
  std::vector<std::string> names = side_files(job);
  std::erase_if(names, [](const std::string& name) {
    return name == kChecksumsName || name == formats::kModelCardName;
  });
  for (const formats::OutputShard& shard : layout.plan.shards) names.push_back(shard.file_name);
  return names;
}

void publish_model(const waves::Job& job, const OutputLayout& layout, double achieved_bpw,
                   formats::Overwrite overwrite) {
  const std::filesystem::path& folder = job.config.output.dir;
  OutputFiles::publish(folder, layout, overwrite);
  for (const std::string& name : formats::companion_files(job.model.folder.directory())) {
    formats::copy_companion_file(job.model.folder.directory(), name, folder, overwrite);
  }
  for (const auto& file : {job.work.measurement(), job.work.plan()}) {
    formats::write_file(folder / file.filename(), formats::read_text_file(file, 1 << 30),
                        overwrite);
  }
  const weights::QuantizationEntry entry{achieved_bpw,
                                         static_cast<int>(job.config.allocate.head_bits),
                                         job.config.calibration.rows,
                                         job.config.calibration.length,
                                         job.config.calibration.tokens.filename().string(),
                                         layer_choices(job.model.layout, layout.options),
                                         reader_fields(job.format, job.model.description)};
  formats::write_file(folder / "config.json",
                      job.format.config_text(job.model.description.config_text,
                                             job.model.description.config_file, entry),
                      overwrite);
}

}  // namespace shardquant::output
