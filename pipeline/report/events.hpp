#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>

#include "pipeline/report/log.hpp"

namespace shardquant::report {

/// One key with its value in a record of events.jsonl. NaN and infinities become null; text that is
/// not UTF-8 gets U+FFFD in place of the wrong bytes.
struct EventField {
  using Value = std::variant<std::string_view, std::int64_t, double, bool>;

  EventField(std::string_view name, std::string_view text) : key(name), value(text) {}
  EventField(std::string_view name, const std::string& text)
      : key(name), value(std::string_view(text)) {}
  EventField(std::string_view name, const char* text) : key(name), value(std::string_view(text)) {}
  EventField(std::string_view name, double number) : key(name), value(number) {}
  EventField(std::string_view name, bool flag) : key(name), value(flag) {}
  template <std::integral Integer>
  EventField(std::string_view name, Integer number)
      : key(name), value(static_cast<std::int64_t>(number)) {}

  std::string_view key;
  Value value;
};

/// Appends to events.jsonl: one JSON object per line, each handed to the system in one write, with
/// `ts` (UTC), `t` (seconds since the start), `run_id`, `restart`, `event`, `phase` and the fields
/// given. The first record of a file begins with `"schema":1`. Safe to use from several threads.
class EventLog {
 public:
  using WallClock = std::function<std::string()>;

  /// Discards everything: for ranks other than 0.
  EventLog();
  /// Opens or creates the file. A last line that was not finished is cut off. `restart` is 0 in a
  /// new file and one more than in the last record of an old one.
  /// @throws Failure: cannot_create, no_permission, io_error; bad_data when the file is no event
  /// log of this schema
  EventLog(const std::filesystem::path& path, std::string run_id, Clock clock = start_clock(),
           WallClock wall_clock = {});
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  std::int64_t restart() const { return restart_; }

  /// Writes one record. Fields keep their order; a key used twice is Failure(internal).
  /// @throws Failure(io_error), also for a full disk; what was written of the record is taken back
  void write(std::string_view event, std::string_view phase,
             std::initializer_list<EventField> fields = {});

  /// Writes a record of another rank's log as one of this log's start; what is no record is left
  /// out. @throws Failure(io_error)
  void take_over(std::string_view record);

 private:
  void continue_existing();
  void append(std::string_view line);

  std::string name_;
  std::string run_id_;
  Clock clock_;
  WallClock wall_clock_;
  std::mutex mutex_;
  int descriptor_ = -1;
  std::int64_t restart_ = 0;
  bool first_record_ = true;
};

/// Now as "2026-11-24T12:14:53.123Z".
std::string utc_now();

}  // namespace shardquant::report
