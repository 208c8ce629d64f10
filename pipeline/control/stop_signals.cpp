#include "pipeline/control/stop_signals.hpp"

#include <pthread.h>
#include <signal.h>

namespace shardquant::control {

namespace {

constexpr int kSignals[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT};

volatile sig_atomic_t checkpoint_wished = 0;
volatile sig_atomic_t stop_wished = 0;       // the signal, 0: none
volatile sig_atomic_t fast_stop_wished = 0;  // the signal, 0: none

void note_signal(int signal) {
  if (signal == SIGUSR2) {
    checkpoint_wished = 1;
  } else if (signal == SIGUSR1) {
    stop_wished = signal;
  } else {
    if (signal == SIGINT && fast_stop_wished == SIGINT) {
      ::signal(SIGINT, SIG_DFL);
      ::raise(SIGINT);
    }
    fast_stop_wished = signal;
  }
}

pthread_t main_thread;

// OpenBLAS starts threads before main, which do not hold the signals back; what comes to one of
// them is left waiting at the main thread.
void pass_to_main_thread(int signal) {
  ::pthread_kill(main_thread, signal);
}

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kSignals) sigaddset(&set, signal);
  return set;
}

void set_action(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // no call of a library need know of them
  sigemptyset(&action.sa_mask);
  for (const int signal : kSignals) ::sigaction(signal, &action, nullptr);
}

}  // namespace

void hold_stop_signals() {
  const sigset_t set = stop_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  main_thread = ::pthread_self();
  set_action(pass_to_main_thread);
}

void catch_stop_signals() {
  set_action(note_signal);
  const sigset_t set = stop_signals();
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

void release_stop_signals() {
  set_action(SIG_DFL);
  if (fast_stop_wished != 0) ::raise(fast_stop_wished);
  if (stop_wished != 0) ::raise(stop_wished);
}

SignalWish signal_wish() {
  if (fast_stop_wished != 0) return SignalWish::stop_fast;
  if (stop_wished != 0) return SignalWish::stop;
  return checkpoint_wished != 0 ? SignalWish::checkpoint : SignalWish::none;
}

void forget_checkpoint_wish() {
  checkpoint_wished = 0;
}

const char* wish_name() {
  if (fast_stop_wished == SIGTERM) return "SIGTERM";
  if (fast_stop_wished == SIGINT) return "SIGINT";
  if (stop_wished != 0) return "SIGUSR1";
  return checkpoint_wished != 0 ? "SIGUSR2" : "";
}

}  // namespace shardquant::control
