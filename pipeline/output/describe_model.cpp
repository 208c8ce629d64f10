#include "pipeline/output/describe_model.hpp"

#include <utility>

#include "pipeline/formats/model_directory.hpp"
#include "pipeline/output/card_facts.hpp"

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
  CardFacts facts = read_card_facts(source, description.config_text);
  card.base_model = std::move(facts.base_model);
  card.license = std::move(facts.license);
  card.prompt_format = std::move(facts.prompt_format);
  return card;
}

}  // namespace shardquant::output
