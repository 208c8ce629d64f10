#include "pipeline/records/python_number.hpp"

#include <fmt/format.h>

#include <cmath>

#include "pipeline/failure.hpp"

namespace shardquant::records {

std::string python_number(double value) {
  if (!std::isfinite(value)) fail(ExitCode::internal, "{} cannot be written as JSON", value);
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace shardquant::records
