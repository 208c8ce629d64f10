#include "pipeline/formats/json_sax.hpp"

#include <algorithm>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::formats::detail {

namespace {

// The library's text without its own prefix and without the piece of input it echoes, which may be
// as long as the input.
std::string reason_of(const nlohmann::json::exception& error) {
  constexpr std::size_t kLongest = 200;
  std::string text = error.what();
  text = text.substr(0, text.find("; last read:"));
  if (text.starts_with("[json.exception.")) text = text.substr(text.find("] ") + 2);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  const std::string quoted = json_quote(text);
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace

bool JsonSax::parse_error(std::size_t position, const std::string&,
                          const nlohmann::json::exception& error) {
  fail(ExitCode::bad_data, "{}: not valid JSON at byte {}: {}", file_, position, reason_of(error));
}

void JsonSax::enter() {
  if (depth_left_-- == 0) fail(ExitCode::bad_data, "{}: JSON nested too deeply", file_);
}

void parse_json(std::string_view text, JsonSax& handler) {
  if (text.starts_with("\xEF\xBB\xBF") || text.starts_with("\xFE\xFF") ||
      text.starts_with("\xFF\xFE")) {
    fail(ExitCode::bad_data, "{}: begins with a byte order mark; JSON is plain UTF-8 without one",
         handler.file());
  }
  const std::size_t nul = text.find('\0');
  if (nul != std::string_view::npos) {
    fail(ExitCode::bad_data, "{}: not valid JSON: NUL byte at byte {}", handler.file(), nul);
  }
  if (!nlohmann::json::sax_parse(text, &handler)) {
    fail(ExitCode::bad_data, "{}: not valid JSON", handler.file());
  }
}

}  // namespace shardquant::formats::detail
