#include <cstddef>
#include <string>
#include <string_view>

#include "pipeline/failure.hpp"
#include "pipeline/report/page_text.hpp"
#include "pipeline/report/run_report.hpp"

namespace shardquant::report {

namespace {

void fill_in(std::string& page, std::string_view mark, std::string_view text) {
  const std::size_t place = page.find(mark);
  if (place == std::string::npos) fail(ExitCode::internal, "the report page lacks {}", mark);
  page.replace(place, mark.size(), text);
}

// "<" starts every tag and comment that could end the element. It only stands in JSON's strings,
// where an escape means the same.
std::string without_tags(std::string_view json) {
  std::string out;
  for (const char c : json) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string report_page(const std::string& json) {
  std::string page(kPageHtml);
  fill_in(page, "{{style}}", kPageStyle);
  fill_in(page, "{{script}}", kPageScript);
  fill_in(page, "{{data}}", without_tags(json));
  return page;
}

}  // namespace shardquant::report
