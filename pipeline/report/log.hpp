#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

namespace shardquant::report {

/// Seconds since the run began; never goes back.
using Clock = std::function<double()>;
/// Takes text that is to appear on the terminal or in the log file at once.
using Sink = std::function<void(std::string_view)>;

/// A clock that starts at 0 now.
Clock start_clock();

/// A sink that writes to standard error, unbuffered; what cannot be written is lost silently, since
/// narration must not end a run.
Sink standard_error();

/// Whether standard error is a terminal.
bool standard_error_is_terminal();

/// "hh:mm:ss" of a duration, rounded down; more digits of hours where needed; "--:--:--" where
/// `seconds` is negative or not finite.
std::string clock_text(double seconds);

/// `text` with control characters (also of C1 and DEL) as \xNN, \n, \r, \t, so that names from
/// files cannot steer a terminal or fake a line.
std::string printable(std::string_view text);

/// The narration of a run, lines `[hh:mm:ss] stage      text` of elapsed time, on one rank only. On
/// a terminal it also holds one line that is redrawn. Safe to use from several threads.
class Log {
 public:
  struct Options {
    bool enabled = true;  ///< false: nothing is ever written (ranks other than 0)
    bool terminal = standard_error_is_terminal();
    Clock clock = start_clock();
    Sink sink = standard_error();
  };

  Log() : Log(Options{}) {}
  explicit Log(Options options) : options_(std::move(options)) {}
  /// Ends a redrawn line, so that the shell's prompt gets its own.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  bool enabled() const { return options_.enabled; }
  bool terminal() const { return options_.terminal; }
  /// Seconds since the run began.
  double elapsed() const { return options_.clock(); }

  /// Writes one line. `stage` and `text` are made printable.
  void line(std::string_view stage, std::string_view text);
  /// On a terminal puts the line in place of the one redrawn last; elsewhere does nothing.
  void redraw(std::string_view stage, std::string_view text);

 private:
  std::string format(std::string_view stage, std::string_view text) const;

  Options options_;
  std::mutex mutex_;
  bool redrawn_ = false;
};

}  // namespace shardquant::report
