#include "pipeline/tokenizer/require_encodable.hpp"

#include "pipeline/failure.hpp"
#include "pipeline/tokenizer/tokenizer.hpp"
#include "pipeline/tokenizer/unicode_text.hpp"

namespace shardquant::tokenizer {

void require_encodable(std::string_view text) {
  if (static_cast<std::int64_t>(text.size()) > kMaxTextBytes) {
    fail(ExitCode::bad_data, "a text of {} bytes; at most {} are encoded at once", text.size(),
         kMaxTextBytes);
  }
  const std::size_t wrong = find_invalid_utf8(text);
  if (wrong != std::string_view::npos) {
    fail(ExitCode::bad_data, "the text is not UTF-8 at its byte {}", wrong);
  }
}

}  // namespace shardquant::tokenizer
