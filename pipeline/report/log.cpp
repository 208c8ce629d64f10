#include "pipeline/report/log.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <iterator>
#include <memory>

namespace shardquant::report {

namespace {

// Back to the first column, and clear to the end of the line.
constexpr std::string_view kClearLine = "\r\x1b[K";

}  // namespace

Clock start_clock() {
  const auto begin = std::chrono::steady_clock::now();
  return [begin] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
}

Sink standard_error() {
  return [](std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::write(STDERR_FILENO, text.data(), text.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return;
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  };
}

bool standard_error_is_terminal() {
  return ::isatty(STDERR_FILENO) == 1;
}

std::string clock_text(double seconds) {
  // Beyond this a double no longer counts seconds.
  if (!(seconds >= 0.0 && seconds < 1e15)) return "--:--:--";
  const auto whole = static_cast<std::int64_t>(seconds);
  return fmt::format("{:02}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto code = static_cast<unsigned char>(text[i]);
    const bool c1 = code == 0xc2 && i + 1 < text.size() &&
                    static_cast<unsigned char>(text[i + 1]) < 0xa0 &&
                    static_cast<unsigned char>(text[i + 1]) >= 0x80;
    if (code == '\n') {
      out += "\\n";
    } else if (code == '\r') {
      out += "\\r";
    } else if (code == '\t') {
      out += "\\t";
    } else if (c1) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text[i + 1]));
      ++i;
    } else if (code < 0x20 || code == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", code);
    } else {
      out += text[i];
    }
  }
  return out;
}

Log::~Log() {
  if (redrawn_) options_.sink("\n");
}

std::string Log::format(std::string_view stage, std::string_view text) const {
  return fmt::format("[{}] {:<10} {}", clock_text(elapsed()), printable(stage), printable(text));
}

void Log::line(std::string_view stage, std::string_view text) {
  if (!options_.enabled) return;
  const std::lock_guard lock(mutex_);
  options_.sink(fmt::format("{}{}\n", redrawn_ ? kClearLine : "", format(stage, text)));
  redrawn_ = false;
}

void Log::redraw(std::string_view stage, std::string_view text) {
  if (!options_.enabled || !options_.terminal) return;
  const std::lock_guard lock(mutex_);
  options_.sink(fmt::format("{}{}", kClearLine, format(stage, text)));
  redrawn_ = true;
}

}  // namespace shardquant::report
