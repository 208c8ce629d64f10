#include "pipeline/output/describe_model.hpp"

#include "pipeline/formats/model_directory.hpp"

namespace shardquant::output {

report::ModelCard card_of_model(const std::filesystem::path& source,
                                const model::ModelDescription& description,
                                const model::ModelLayout& layout,
                                const weights::WeightFormat& format) {
  weights::FormatCard of_format = format.card();
  report::ModelCard card;
  card.model = formats::model_name(source);
  card.family = description.family->name;
  card.parameters = layout.block_parameters();
  card.format = std::move(of_format.title);
  card.tag = std::move(of_format.tag);
  card.loaders = std::move(of_format.loaders);
  return card;
}

}  // namespace shardquant::output
