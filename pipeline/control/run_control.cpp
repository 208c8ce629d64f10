#include "pipeline/control/run_control.hpp"

#include <algorithm>

#include "pipeline/control/steady_seconds.hpp"
#include "pipeline/control/time_limit.hpp"

namespace shardquant::control {

RunControl::RunControl(comm::Communicator& comm, Options options)
    : comm_(comm), options_(options), begin_(steady_seconds()), last_checkpoint_(begin_) {}

double RunControl::elapsed() const {
  return steady_seconds() - begin_;
}

SignalWish RunControl::own_wish() {
  if (options_.time_limit_s && !time_is_up_) {
    time_is_up_ =
        is_time_to_leave(elapsed(), *options_.time_limit_s, longest_layer_, checkpoint_seconds_);
  }
  return time_is_up_ ? std::max(SignalWish::stop, signal_wish()) : signal_wish();
}

bool RunControl::should_stop() {
  if (own_wish() >= SignalWish::stop) {
    comm_.raise_notice();
    return true;
  }
  return comm_.notice_raised();
}

bool RunControl::must_hurry() {
  return own_wish() == SignalWish::stop_fast;
}

SignalWish RunControl::agree() {
  auto wish = own_wish();
  // The interval is root's affair, so that clocks need not agree.
  const bool is_due = steady_seconds() - last_checkpoint_ >= options_.checkpoint_every_s;
  if (comm_.is_root() && is_due) wish = std::max(wish, SignalWish::checkpoint);
  // A rank that was told of a stop has put its work down, so the stop must come.
  if (comm_.notice_raised()) wish = std::max(wish, SignalWish::stop);
  return static_cast<SignalWish>(comm_.max(static_cast<std::int64_t>(wish)));
}

void RunControl::leave(const std::string& where) {
  std::string why = time_is_up_ ? "time limit" : wish_name();
  if (why.empty()) why = "on the word of another rank";
  throw comm::SharedFailure(
      ExitCode::try_again, comm_.is_root() ? "stopped " + where + " (" + why +
                                                 "); run the same command again to go on from there"
                                           : "");
}

void RunControl::note_layer(double seconds) {
  longest_layer_ = std::max(longest_layer_, seconds);
}

void RunControl::note_checkpoint(double seconds) {
  checkpoint_seconds_ = seconds;
  last_checkpoint_ = steady_seconds();
  forget_checkpoint_wish();
}

}  // namespace shardquant::control
