#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

#include "pipeline/commands/commands.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/weights/weight_formats.hpp"
#include "pipeline/model/layer_shape.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/model/source_types/stored_weight.hpp"
#include "pipeline/output/output_checksums.hpp"

namespace shardquant::commands {

namespace {

// ||decoded - source||_F / ||source||_F of one layer's weights, some outputs at a time.
double weight_error(const weights::StoredLayer& stored, const model::LinearLayer& layer,
                    const model::SourceModel& source, std::int64_t index) {
  constexpr std::int64_t kOutputs = 64;
  const kernels::ElementType type = stored.value_type();
  std::vector<std::byte> decoded;
  std::vector<float> original;
  double error = 0.0;
  double norm = 0.0;
  for (std::int64_t first = 0; first < layer.outputs; first += kOutputs) {
    const std::int64_t count = std::min(kOutputs, layer.outputs - first);
    original.resize(static_cast<std::size_t>(count * layer.inputs));
    decoded.resize(original.size() * static_cast<std::size_t>(model::element_bytes(type)));
    stored.decode_outputs(first, count, decoded);
    model::read_floats(source.folder, source.tensors.weight_name(index), first * layer.inputs,
                       original);
    for (std::size_t i = 0; i < original.size(); ++i) {
      const double want = original[i];
      const double miss = model::element_at(decoded, type, i) - want;
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
  const weights::WeightFormat* format = model.description.stored_format;
  if (format == nullptr) {
    fail(ExitCode::bad_data, "{}: config.json has no quantization_config of {}",
         arguments.model_dir, fmt::join(weights::weight_format_names(), " or "));
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
    if (!model.tensors.is_quantized(i)) continue;
    const model::LinearLayer& info = model.layer(i);
    const auto layer = format->read(model.folder, model::shape_of(info));
    flushed += layer->flushed_groups();
    ++checked;
    if (!info.is_head) {
      bits += layer->stored_bits();
      parameters += info.parameters();
    }
    if (source) {
      std::printf("%-44s weights off by %.5f\n", info.key.c_str(),
                  weight_error(*layer, info, *source, i));
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
