#include "pipeline/records/python_number.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "pipeline/failure.hpp"

namespace shardquant::records {

namespace {

// "d.ddde+XX" -> digits and decimal exponent.
struct Decimal {
  bool negative = false;
  std::string digits;
  int exponent = 0;  // of the first digit
};

Decimal shortest_decimal(double value) {
  std::array<char, 40> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 std::chars_format::scientific)
                       .ptr;
  std::string_view text(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  Decimal decimal;
  decimal.negative = text.front() == '-';
  if (decimal.negative) text.remove_prefix(1);
  const std::size_t e = text.find('e');
  for (const char c : text.substr(0, e)) {
    if (c != '.') decimal.digits += c;
  }
  decimal.exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  return decimal;
}

std::string with_exponent(const Decimal& decimal) {
  std::string text = decimal.digits.substr(0, 1);
  if (decimal.digits.size() > 1) text += '.' + decimal.digits.substr(1);
  const int magnitude = std::abs(decimal.exponent);
  text += decimal.exponent < 0 ? "e-" : "e+";
  if (magnitude < 10) text += '0';
  return text + std::to_string(magnitude);
}

std::string without_exponent(const Decimal& decimal) {
  const auto digits = static_cast<int>(decimal.digits.size());
  const int point = decimal.exponent + 1;
  if (point <= 0) return "0." + std::string(static_cast<std::size_t>(-point), '0') + decimal.digits;
  if (point >= digits) {
    return decimal.digits + std::string(static_cast<std::size_t>(point - digits), '0') + ".0";
  }
  return decimal.digits.substr(0, static_cast<std::size_t>(point)) + '.' +
         decimal.digits.substr(static_cast<std::size_t>(point));
}

}  // namespace

std::string python_number(double value) {
  if (!std::isfinite(value)) fail(ExitCode::internal, "{} cannot be written as JSON", value);
  const Decimal decimal = shortest_decimal(value);
  const bool scientific = decimal.exponent < -4 || decimal.exponent >= 16;
  return (decimal.negative ? "-" : "") +
         (scientific ? with_exponent(decimal) : without_exponent(decimal));
}

}  // namespace shardquant::records
