#pragma once

#include <string_view>

namespace shardquant::report {

/// The files of pipeline/report/page, compiled in.
extern const std::string_view kPageHtml;
extern const std::string_view kPageStyle;
extern const std::string_view kPageScript;

}  // namespace shardquant::report
