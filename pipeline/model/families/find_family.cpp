#include "pipeline/model/families/families.hpp"

namespace shardquant::model {

const Family* find_family(std::string_view architecture) {
  for (const Family* family : families()) {
    if (family->architecture == architecture) return family;
  }
  return nullptr;
}

}  // namespace shardquant::model
