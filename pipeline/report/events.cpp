#include "pipeline/report/events.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "pipeline/failure.hpp"

namespace shardquant::report {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kSchema = 1;
constexpr std::int64_t kBlockBytes = std::int64_t{1} << 16;
constexpr std::int64_t kLongestLine = std::int64_t{1} << 20;

[[noreturn]] void fail_io(const std::string& name) {
  fail(ExitCode::io_error, "{}: {}", name, std::strerror(errno));
}

std::int64_t size_of(int descriptor, const std::string& name) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail_io(name);
  if (!S_ISREG(status.st_mode)) fail(ExitCode::bad_data, "{}: not a regular file", name);
  return status.st_size;
}

std::string read_range(int descriptor, const std::string& name, std::int64_t begin,
                       std::int64_t end) {
  std::string text(static_cast<std::size_t>(end - begin), '\0');
  std::size_t got = 0;
  while (got < text.size()) {
    const ssize_t count = ::pread(descriptor, text.data() + got, text.size() - got,
                                  begin + static_cast<std::int64_t>(got));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_io(name);
    if (count == 0) break;
    got += static_cast<std::size_t>(count);
  }
  text.resize(got);
  return text;
}

// The place after the last line end before `end`; 0 where there is none.
std::int64_t line_start_before(int descriptor, const std::string& name, std::int64_t end) {
  while (end > 0) {
    const std::int64_t begin = std::max<std::int64_t>(end - kBlockBytes, 0);
    const std::size_t place = read_range(descriptor, name, begin, end).rfind('\n');
    if (place != std::string::npos) return begin + static_cast<std::int64_t>(place) + 1;
    end = begin;
  }
  return 0;
}

// An integer of a record; -1 where the text is no record or lacks it.
std::int64_t integer_in(const std::string& line, const char* key) {
  const Json record = Json::parse(line, nullptr, false);
  if (!record.is_object()) return -1;
  const auto found = record.find(key);
  return found != record.end() && found->is_number_integer() ? found->get<std::int64_t>() : -1;
}

Json json_value(const EventField::Value& value) {
  if (const double* number = std::get_if<double>(&value)) {
    return std::isfinite(*number) ? Json(*number) : Json(nullptr);
  }
  if (const auto* text = std::get_if<std::string_view>(&value)) return std::string(*text);
  if (const bool* flag = std::get_if<bool>(&value)) return *flag;
  return std::get<std::int64_t>(value);
}

}  // namespace

std::string utc_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::int64_t milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const std::time_t seconds = milliseconds / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     milliseconds % 1000);
}

EventLog::EventLog() = default;

EventLog::EventLog(const std::filesystem::path& path, std::string run_id, Clock clock,
                   WallClock wall_clock)
    : name_(path.string()),
      run_id_(std::move(run_id)),
      clock_(std::move(clock)),
      wall_clock_(wall_clock ? std::move(wall_clock) : WallClock(utc_now)) {
  descriptor_ = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
  if (descriptor_ < 0) fail_creating(name_, errno);
  try {
    continue_existing();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

EventLog::~EventLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void EventLog::continue_existing() {
  const std::int64_t size = size_of(descriptor_, name_);
  const std::int64_t end = line_start_before(descriptor_, name_, size);
  if (end > 0) {
    const std::string head = read_range(descriptor_, name_, 0, std::min(end, kLongestLine));
    const std::int64_t last = line_start_before(descriptor_, name_, end - 1);
    const std::string tail =
        read_range(descriptor_, name_, last, std::min(end, last + kLongestLine));
    const std::int64_t schema = integer_in(head.substr(0, head.find('\n')), "schema");
    const std::int64_t restart = integer_in(tail, "restart");
    if (schema != kSchema || restart < 0) {
      fail(ExitCode::bad_data,
           "{}: not an event log of schema {}, or damaged; move it away and run again", name_,
           kSchema);
    }
    restart_ = restart + 1;
    first_record_ = false;
  }
  if (end < size && ::ftruncate(descriptor_, end) != 0) fail_io(name_);
}

void EventLog::write(std::string_view event, std::string_view phase,
                     std::initializer_list<EventField> fields) {
  if (descriptor_ < 0) return;
  const std::lock_guard lock(mutex_);
  Json record = Json::object();
  if (first_record_) record["schema"] = kSchema;
  record["ts"] = wall_clock_();
  record["t"] = std::round(clock_() * 1000.0) / 1000.0;
  record["run_id"] = run_id_;
  record["restart"] = restart_;
  record["event"] = std::string(event);
  record["phase"] = std::string(phase);
  for (const EventField& field : fields) {
    std::string key(field.key);
    if (record.contains(key) || key == "schema") {
      fail(ExitCode::internal, "event {}: key \"{}\" is used twice", event, key);
    }
    record[std::move(key)] = json_value(field.value);
  }
  append(record.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n');
  first_record_ = false;
}

void EventLog::take_over(std::string_view text) {
  Json record = Json::parse(text, nullptr, false);
  if (descriptor_ < 0 || !record.is_object() || !record.contains("event")) return;
  const std::lock_guard lock(mutex_);
  record.erase("schema");
  record["restart"] = restart_;
  append(record.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n');
}

void EventLog::append(std::string_view line) {
  const std::int64_t size = size_of(descriptor_, name_);
  std::string_view left = line;
  while (!left.empty()) {
    const ssize_t count = ::write(descriptor_, left.data(), left.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error = errno;
      // A failure here leaves an incomplete line, which the next opening cuts off.
      static_cast<void>(!::ftruncate(descriptor_, size));
      fail(ExitCode::io_error, "{}: cannot be written: {}", name_, std::strerror(error));
    }
    left.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace shardquant::report
