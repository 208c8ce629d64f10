#include "pipeline/report/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

namespace shardquant::report {

namespace {

constexpr double kSecondsBetweenLines = 30.0;
constexpr double kSecondsBetweenDrawings = 0.2;
constexpr double kSecondsBetweenEvents = 1.0;
constexpr double kLeastPaceSeconds = 60.0;
constexpr double kPaceShare = 0.25;  // of the phase so far

std::string rate_text(double per_minute) {
  if (!(per_minute > 0.0) || !std::isfinite(per_minute)) return "rate -";
  if (per_minute < 1.0) return fmt::format("rate {:.1f}/h", per_minute * 60.0);
  return fmt::format("rate {:.1f}/min", per_minute);
}

std::string with_note(std::string line, std::string_view note) {
  if (note.empty()) return line;
  return line.append("  ").append(note);
}

}  // namespace

Progress::Progress(Log& log, std::string stage, std::int64_t items, double total_cost)
    : log_(log),
      stage_(std::move(stage)),
      items_(items),
      total_cost_(total_cost),
      begin_(log.elapsed()),
      exceptions_(std::uncaught_exceptions()),
      pace_from_{begin_, 0.0},
      pace_next_{begin_, 0.0},
      last_written_(log.terminal() ? -kSecondsBetweenDrawings : begin_) {}

Progress::~Progress() {
  if (std::uncaught_exceptions() == exceptions_) finish();
}

void Progress::reuse(std::int64_t items, double cost) {
  const std::lock_guard lock(mutex_);
  done_ += items;
  reused_ += items;
  cost_done_ += cost;
  cost_reused_ += cost;
}

void Progress::set_later_cost(double cost) {
  const std::lock_guard lock(mutex_);
  cost_later_ = cost;
}

void Progress::complete(std::int64_t items, double cost, std::string_view note) {
  const std::lock_guard lock(mutex_);
  done_ += items;
  cost_done_ += cost;
  cost_begun_ = 0.0;
  has_news_ = true;
  note_ = note;
  move_marks();
  write_if_due();
}

void Progress::begin_items(double cost, std::string_view note) {
  const std::lock_guard lock(mutex_);
  cost_begun_ = cost;
  has_news_ = true;
  note_ = note;
  move_marks();
  write_if_due();
}

void Progress::tick() {
  const std::lock_guard lock(mutex_);
  if (!finished_) write_if_due();
}

void Progress::write_event() {
  last_event_ = log_.elapsed();
  has_news_ = false;
  events_->write("progress", stage_,
                 {{"done", done_},
                  {"items", items_},
                  {"unit", unit_},
                  {"percent", std::floor(fraction_done() * 1000.0) / 10.0},
                  {"eta_s", estimate_left(0.0)},
                  {"job_eta_s", estimate_left(cost_later_)}});
}

void Progress::write_event_if_due() {
  if (events_ == nullptr || !has_news_) return;
  if (log_.elapsed() - last_event_ >= kSecondsBetweenEvents) write_event();
}

void Progress::move_marks() {
  const double now = log_.elapsed();
  const double span = std::max(kLeastPaceSeconds, kPaceShare * (now - begin_));
  if (now - pace_next_.time < span) return;
  pace_from_ = pace_next_;
  pace_next_ = {now, earned()};
}

void Progress::write_if_due() {
  write_event_if_due();
  const double now = log_.elapsed();
  const double pause = log_.terminal() ? kSecondsBetweenDrawings : kSecondsBetweenLines;
  // The last item's line is the one of finish().
  if (finished_ || done_ >= items_ || now - last_written_ < pause) return;
  last_written_ = now;
  if (events_ != nullptr && !log_.terminal()) write_event();
  const std::string text = with_note(
      fmt::format("{}  {}  {}", counts(), rate_text(rate_per_minute()), left_text()), note_);
  if (log_.terminal()) {
    log_.redraw(stage_, text);
  } else {
    log_.line(stage_, text);
  }
}

void Progress::finish(std::string_view note) {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  finished_ = true;
  if (events_ != nullptr) write_event();
  if (log_.elapsed() - begin_ < shortest_told_) return;
  log_.line(stage_, with_note(fmt::format("{}  {}  took {}", counts(), rate_text(rate_per_minute()),
                                          clock_text(log_.elapsed() - begin_)),
                              note));
}

double Progress::fraction() const {
  const std::lock_guard lock(mutex_);
  return fraction_done();
}

double Progress::seconds_left() const {
  const std::lock_guard lock(mutex_);
  return estimate_left(0.0);
}

std::string Progress::counts() const {
  // Rounded down, so that 100 % is said of complete phases alone.
  const double percent = std::floor(fraction_done() * 1000.0) / 10.0;
  const std::string total = std::to_string(items_);
  return fmt::format("{:>{}}/{}{}{} {:5.1f}%", done_, total.size(), total, unit_.empty() ? "" : " ",
                     unit_, percent);
}

std::string Progress::left_text() const {
  std::string text = "eta " + clock_text(estimate_left(0.0));
  if (cost_later_ > 0.0) text += ", job " + clock_text(estimate_left(cost_later_));
  return text;
}

double Progress::fraction_done() const {
  if (done_ >= items_) return 1.0;
  const double fraction = total_cost_ > 0.0
                              ? cost_so_far() / total_cost_
                              : static_cast<double>(done_) / static_cast<double>(items_);
  return std::isfinite(fraction) ? std::clamp(fraction, 0.0, 0.9999) : 0.0;
}

double Progress::estimate_left(double later_cost) const {
  if (done_ >= items_ && later_cost <= 0.0) return 0.0;
  const double earned_of_late = earned() - pace_from_.earned;
  if (!(earned_of_late > 0.0)) return -1.0;
  const double left = std::max(total_cost_ - cost_so_far(), 0.0) + later_cost;
  return (log_.elapsed() - pace_from_.time) * left / earned_of_late;
}

double Progress::rate_per_minute() const {
  return static_cast<double>(done_ - reused_) * 60.0 / (log_.elapsed() - begin_);
}

}  // namespace shardquant::report
