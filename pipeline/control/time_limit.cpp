#include "pipeline/control/time_limit.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "pipeline/failure.hpp"

namespace shardquant::control {

namespace {

// Negative where the text is no plain number.
double plain_number(std::string_view text) {
  double value = -1.0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  return error == std::errc() && stop == end && !text.empty() ? value : -1.0;
}

// Seconds of S, MM:SS or HH:MM:SS; negative where it is neither.
double clock_seconds(std::string_view text) {
  double seconds = 0.0;
  for (int parts = 1;; ++parts) {
    const std::size_t colon = text.find(':');
    const double part = plain_number(text.substr(0, colon));
    if (part < 0.0 || parts > 3) return -1.0;
    seconds = seconds * 60.0 + part;
    if (colon == std::string_view::npos) return seconds;
    text.remove_prefix(colon + 1);
  }
}

}  // namespace

std::optional<double> read_time_limit(const std::string& text, double now,
                                      const EnvironmentLookup& lookup) {
  if (text == "none") return std::nullopt;
  if (text == "auto") {
    const char* end_time = lookup("SLURM_JOB_END_TIME");
    const double end = end_time != nullptr ? plain_number(end_time) : -1.0;
    return end > now ? std::optional(end - now) : std::nullopt;
  }
  const double seconds = clock_seconds(text);
  if (!(seconds > 0.0 && seconds < 1e9)) {
    fail(ExitCode::usage, "--max-time {}: give auto, none, seconds, MM:SS or HH:MM:SS", text);
  }
  return seconds;
}

bool is_time_to_leave(double elapsed, double limit, double longest_layer, double last_checkpoint) {
  constexpr double kReserve = 60.0;
  return elapsed + longest_layer + last_checkpoint + std::min(kReserve, limit / 10.0) >= limit;
}

}  // namespace shardquant::control
