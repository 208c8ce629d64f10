#include "pipeline/output/describe_model.hpp"

#include "pipeline/formats/model_directory.hpp"
#include "pipeline/formats/weights/exl2/rewrite_config.hpp"

namespace shardquant::output {

report::ModelCard card_of_model(const std::filesystem::path& source,
                                const model::ModelDescription& description,
                                const model::ModelLayout& layout) {
  report::ModelCard card;
  card.model = formats::model_name(source);
  card.family = description.family->name;
  card.parameters = layout.block_parameters();
  card.exl2_version = exl2::kExl2Version;
  return card;
}

}  // namespace shardquant::output
