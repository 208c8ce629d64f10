#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "pipeline/report/events.hpp"
#include "pipeline/report/log.hpp"

namespace shardquant::report {

/// How far a phase is, with the time left told from the cost of the items rather than their number:
/// `[00:41:07] measure    312/560  55.7%  rate 7.9/min  eta 00:31:20, job 00:33:02`. Without a
/// terminal at most one line per 30 s and one at the end, never a carriage return; on a terminal
/// one redrawn line. Safe to use from several threads.
class Progress {
 public:
  /// A phase of `items` items that cost `total_cost` together, in any unit; it begins now.
  /// `log` must outlive it.
  Progress(Log& log, std::string stage, std::int64_t items, double total_cost);
  /// Calls finish() unless that was done or an exception is under way.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// What the items are, after their number in every line: "groups".
  void set_unit(std::string unit) { unit_ = std::move(unit); }
  /// Writes the progress there as well, as events `progress`: within a second or two where
  /// something was done, and with every line of the log. `events` must outlive this.
  void set_events(EventLog& events) { events_ = &events; }
  /// The last line is left out where the phase took less than this.
  void set_shortest_told(double seconds) { shortest_told_ = seconds; }
  /// What comes after this phase until the job is done, in the unit of its costs; for the job's own
  /// time left, which is not told where this is 0.
  void set_later_cost(double cost);
  /// Items that an earlier run left complete: they count as done but not for rate and time left.
  void reuse(std::int64_t items, double cost);
  /// One more item done; `note` goes to the end of the line, where one is written now.
  void advance(double cost, std::string_view note = {}) { complete(1, cost, note); }
  /// Several more items done, at once.
  void complete(std::int64_t items, double cost, std::string_view note = {});
  /// What is done of items that are under way, in place of what was told before; counts until the
  /// next complete().
  void begin_items(double cost, std::string_view note = {});
  /// Writes what is due by now; to be called from time to time while an item takes long. See
  /// ProgressTicker. @throws Failure(io_error) of the events
  void tick();
  /// Writes the last line, with the time the phase took. Later calls do nothing.
  void finish(std::string_view note = {});

  /// Part of the cost that is done, 0 to 1; 1 for a phase without items.
  double fraction() const;
  /// Seconds left at the pace of late: that of the last quarter to half of the phase, but of the
  /// last minute or two at least, since machines are shared. Negative while unknown.
  double seconds_left() const;

 private:
  // When so much cost was earned, an earlier run's apart.
  struct Mark {
    double time = 0.0;
    double earned = 0.0;
  };

  void move_marks();
  void write_if_due();
  void write_event_if_due();
  void write_event();
  std::string counts() const;
  std::string left_text() const;
  double cost_so_far() const { return cost_done_ + cost_begun_; }
  double earned() const { return cost_so_far() - cost_reused_; }
  double fraction_done() const;
  double estimate_left(double later_cost) const;
  double rate_per_minute() const;

  Log& log_;
  const std::string stage_;
  const std::int64_t items_;
  const double total_cost_;
  const double begin_;
  const int exceptions_;
  mutable std::mutex mutex_;
  std::int64_t done_ = 0, reused_ = 0;
  double cost_done_ = 0.0, cost_reused_ = 0.0, cost_begun_ = 0.0, cost_later_ = 0.0;
  Mark pace_from_, pace_next_;  // the pace is taken from the former on, which the latter follows
  double last_written_;
  std::string unit_, note_;  // the note of the last item
  EventLog* events_ = nullptr;
  double last_event_ = -1.0, shortest_told_ = 0.0;
  bool has_news_ = false;  // that no event tells yet
  bool finished_ = false;
};

}  // namespace shardquant::report
