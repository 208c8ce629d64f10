#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"

namespace shardquant::faults {

namespace {

// One order of SHARDQUANT_FAULT.
struct Order {
  std::string point, action = "kill";
  int rank = -1;  // any
  int count = 1;  // passages left until it is carried out
  double amount = 0.0;
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) return parts;
    begin = end + 1;
  }
}

bool is_point(const std::string& name) {
  for (std::size_t i = 0; !point_name(i).empty(); ++i) {
    if (point_name(i) == name) return true;
  }
  return false;
}

// A test with a misspelt order must not pass because nothing happened.
[[noreturn]] void refuse(const std::string& what) {
  fail(ExitCode::usage, "SHARDQUANT_FAULT: {}", what);
}

double number(const std::string& text) {
  double value = 0.0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) refuse(text + " is no number");
  return value;
}

Order parse_order(const std::string& text) {
  Order order;
  for (const std::string& part : split(text, ',')) {
    const std::size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : part.substr(equals + 1);
    if (key == "point") {
      order.point = value;
    } else if (key == "rank") {
      order.rank = static_cast<int>(number(value));
    } else if (key == "count") {
      order.count = static_cast<int>(number(value));
    } else if (key == "action") {
      const std::size_t colon = value.find(':');
      order.action = value.substr(0, colon);
      if (colon != std::string::npos) order.amount = number(value.substr(colon + 1));
    } else {
      refuse("unknown key " + key);
    }
  }
  if (!is_point(order.point)) refuse("unknown point " + order.point);
  return order;
}

std::vector<Order> read_orders() {
  std::vector<Order> orders;
  const char* text = std::getenv("SHARDQUANT_FAULT");
  if (text == nullptr || *text == '\0') return orders;
  for (const std::string& part : split(text, ';')) orders.push_back(parse_order(part));
  return orders;
}

int own_rank = 0;
std::mutex mutex;

void trace(std::string_view name, std::string_view item) {
  static const char* file = std::getenv("SHARDQUANT_FAULT_TRACE");
  if (file == nullptr) return;
  const std::string line = fmt::format("{} {} {}\n", own_rank, name, item);
  const int descriptor = ::open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0) return;
  if (::write(descriptor, line.data(), line.size()) < 0) refuse("the trace cannot be written");
  ::close(descriptor);
}

void carry_out(const Order& order, std::string_view item) {
  if (order.action == "kill") {
    std::raise(SIGKILL);
  } else if (order.action == "stop") {
    std::raise(SIGSTOP);
  } else if (order.action == "throw") {
    fail(ExitCode::internal, "ordered to fail at {} {}", order.point, item);
  } else if (order.action == "exit") {
    ::_exit(static_cast<int>(order.amount));
  } else if (order.action == "sleep") {
    std::this_thread::sleep_for(std::chrono::duration<double>(order.amount));
  } else if (order.action == "errno") {
    fail(ExitCode::io_error, "{}: {}", item, std::strerror(static_cast<int>(order.amount)));
  } else {
    refuse("unknown action " + order.action);
  }
}

}  // namespace

void set_rank(int rank) {
  own_rank = rank;
}

void reach(Point point, std::string_view item) {
  const std::string_view name = point_name(static_cast<std::size_t>(point));
  const std::lock_guard lock(mutex);
  trace(name, item);
  static std::vector<Order> orders = read_orders();
  for (Order& order : orders) {
    if (order.point != name || (order.rank >= 0 && order.rank != own_rank)) continue;
    if (--order.count == 0) carry_out(order, item);
  }
}

}  // namespace shardquant::faults
