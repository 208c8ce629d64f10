#pragma once

#include <string_view>

namespace shardquant::tokenizer {

/// What every tokenizer asks of a text. @throws Failure(bad_data) where it is longer than
/// kMaxTextBytes, or not UTF-8, naming the byte
void require_encodable(std::string_view text);

}  // namespace shardquant::tokenizer
