#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

#include "kernels/api/half_types.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/weights/exl2/exl2_reader.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/output/output_checksums.hpp"

namespace shardquant::commands {

namespace {

// ||decoded - source||_F / ||source||_F of one layer's weights, some outputs at a time.
double weight_error(const exl2::Exl2Layer& layer, const model::SourceModel& source,
                    std::int64_t index) {
  constexpr std::int64_t kOutputs = 64;
  std::vector<std::uint16_t> decoded;
  std::vector<float> original;
  double error = 0.0;
  double norm = 0.0;
  for (std::int64_t first = 0; first < layer.outputs; first += kOutputs) {
    const std::int64_t count = std::min(kOutputs, layer.outputs - first);
    decoded.resize(static_cast<std::size_t>(count * layer.inputs));
    original.resize(decoded.size());
    exl2::decode_outputs(layer, first, count, decoded);
    model::read_floats(source.folder, source.tensors.weight_name(index), first * layer.inputs,
                       original);
    for (std::size_t i = 0; i < decoded.size(); ++i) {
      const double want = original[i];
      const double miss = kernels::to_float(kernels::Half{decoded[i]}) - want;
      error += miss * miss;
      norm += want * want;
    }
  }
  return norm > 0.0 ? std::sqrt(error / norm) : 0.0;
}

void require_same_shape(const model::SourceModel& model, const model::SourceModel& source) {
  if (model.layout.linear_layers.size() != source.layout.linear_layers.size() ||
      model.description.hidden_size != source.description.hidden_size ||
      model.layout.block_parameters() != source.layout.block_parameters()) {
    fail(ExitCode::bad_data, "{} and {} are not the same model: layers or sizes differ",
         model.folder.path().string(), source.folder.path().string());
  }
}

}  // namespace

void verify(const VerifyArguments& arguments) {
  const formats::LinkPolicy links = formats::link_policy(arguments.follow_symlinks);
  const model::SourceModel model(arguments.model_dir, links);
  if (model.description.storage != model::Storage::exl2) {
    fail(ExitCode::bad_data, "{}: config.json has no quantization_config of exl2",
         arguments.model_dir);
  }
  std::unique_ptr<model::SourceModel> source;
  if (!arguments.against.empty()) {
    source = std::make_unique<model::SourceModel>(arguments.against, links);
    require_same_shape(model, *source);
  }

  const auto files = output::check_checksums(model.folder.directory());
  if (files) {
    std::printf("%lld files as they were written (%s)\n", static_cast<long long>(*files),
                output::kChecksumsName);
  } else {
    std::printf("no %s: whether bytes were changed cannot be told\n", output::kChecksumsName);
  }
  std::int64_t bits = 0;
  std::int64_t parameters = 0;
  std::int64_t flushed = 0;
  std::int64_t checked = 0;
  for (std::int64_t i = 0; i < std::ssize(model.layout.linear_layers); ++i) {
    if (!model.tensors.is_exl2(i)) continue;
    const model::LinearLayer& info = model.layer(i);
    const exl2::Exl2Layer layer =
        exl2::read_exl2_layer(model.folder, info.key, info.inputs, info.outputs, info.has_bias);
    flushed += exl2::count_flushed_groups(layer);
    ++checked;
    if (!info.is_head) {
      bits += exl2::stored_bits(layer.groups, layer.padded_outputs());
      parameters += info.parameters();
    }
    if (source) {
      std::printf("%-44s weights off by %.5f\n", info.key.c_str(), weight_error(layer, *source, i));
    }
  }
  for (const std::string& warning : model.folder.warnings()) {
    std::printf("warning: %s\n", warning.c_str());
  }
  std::printf(
      "%lld quantized layers sound, %.4f bits per weight on disk, %lld groups flushed to zero\n",
      static_cast<long long>(checked),
      static_cast<double>(bits) / static_cast<double>(std::max<std::int64_t>(parameters, 1)),
      static_cast<long long>(flushed));
}

}  // namespace shardquant::commands
