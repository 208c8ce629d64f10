#include "pipeline/output/write_model.hpp"

#include <algorithm>
#include <string>

#include "pipeline/comm/assign_work.hpp"
#include "pipeline/formats/folder_files.hpp"
#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/formats/shard_file.hpp"
#include "pipeline/formats/weights/exl2/rewrite_config.hpp"
#include "pipeline/output/output_checksums.hpp"

namespace shardquant::output {

namespace {

// A tensor that is copied as F16: where it comes from and which output tensor it becomes.
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
  const std::int64_t head = model.layout.head_layer;
  if (layout.groups[static_cast<std::size_t>(head)].empty()) {
    copies.push_back(
        {model.tensors.weight_name(head), layout.first_of_linear[static_cast<std::size_t>(head)]});
  }
  return copies;
}

// Streams one tensor in pieces, so that an embedding of any size needs little memory.
void copy_as_half(const model::SourceModel& model, const Copy& copy, std::int64_t elements,
                  const OutputFiles& files) {
  constexpr std::int64_t kPiece = std::int64_t{4} << 20;
  std::vector<std::uint16_t> piece;
  for (std::int64_t first = 0; first < elements; first += kPiece) {
    piece.resize(static_cast<std::size_t>(std::min(kPiece, elements - first)));
    model::read_halves(model.folder, copy.source, first, piece);
    files.write(copy.output, first * 2, std::as_bytes(std::span(piece)));
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
    copy_as_half(context.model, copies[i], static_cast<std::int64_t>(bytes[i]) / 2, files);
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
  const exl2::Exl2ConfigEntry entry{achieved_bpw, static_cast<int>(job.config.allocate.head_bits),
                                    job.config.calibration.rows, job.config.calibration.length,
                                    job.config.calibration.tokens.filename().string()};
  formats::write_file(folder / "config.json",
                      exl2::rewrite_config(job.model.description.config_text,
                                           job.model.description.config_file, entry),
                      overwrite);
}

}  // namespace shardquant::output
