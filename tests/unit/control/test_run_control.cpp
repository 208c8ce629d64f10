#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "pipeline/comm/local_communicator.hpp"
#include "pipeline/control/run_control.hpp"

namespace shardquant::control {
namespace {

// Signals leave their mark on the process, so every case has one of its own.
template <class Case>
void in_own_process(Case run) {
  EXPECT_EXIT(
      {
        catch_stop_signals();
        ::_exit(run() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(RunControl, GoesOnWhileNothingIsAsked) {
  in_own_process([] {
    comm::LocalCommunicator comm;
    RunControl control(comm, {300.0, std::nullopt});
    return !control.should_stop() && control.agree() == SignalWish::none;
  });
}

TEST(RunControl, StopsForUsr1WithACheckpointAndForTermWithout) {
  in_own_process([] {
    comm::LocalCommunicator comm;
    RunControl control(comm, {300.0, std::nullopt});
    ::raise(SIGUSR1);
    return control.should_stop() && control.agree() == SignalWish::stop && !control.must_hurry();
  });
  in_own_process([] {
    comm::LocalCommunicator comm;
    RunControl control(comm, {300.0, std::nullopt});
    ::raise(SIGTERM);
    return control.should_stop() && control.agree() == SignalWish::stop_fast &&
           control.must_hurry();
  });
}

TEST(RunControl, Usr2IsOneCheckpointAndNoStop) {
  in_own_process([] {
    comm::LocalCommunicator comm;
    RunControl control(comm, {300.0, std::nullopt});
    ::raise(SIGUSR2);
    if (control.should_stop() || control.agree() != SignalWish::checkpoint) return false;
    control.note_checkpoint(0.1);
    return control.agree() == SignalWish::none;
  });
}

TEST(RunControl, ASignalHeldBackIsNotLost) {
  in_own_process([] {
    hold_stop_signals();
    ::raise(SIGUSR1);
    catch_stop_signals();
    return signal_wish() == SignalWish::stop;
  });
}

TEST(RunControl, ASignalTakenByAnotherThreadIsHeldForTheMainOne) {
  in_own_process([] {
    std::atomic<bool> started = false, done = false;
    std::thread other([&] {
      started = true;
      while (!done) std::this_thread::yield();
    });
    while (!started) std::this_thread::yield();
    hold_stop_signals();
    ::pthread_kill(other.native_handle(), SIGUSR1);
    const bool early = signal_wish() != SignalWish::none;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    done = true;
    other.join();
    catch_stop_signals();
    return !early && signal_wish() == SignalWish::stop;
  });
}

TEST(RunControl, ASecondInterruptEndsTheProcess) {
  EXPECT_EXIT(
      {
        catch_stop_signals();
        ::raise(SIGINT);
        ::raise(SIGINT);
        ::_exit(0);
      },
      testing::KilledBySignal(SIGINT), "");
}

TEST(RunControl, ReleasedSignalsHaveTheirDefaultAction) {
  EXPECT_EXIT(
      {
        catch_stop_signals();
        ::raise(SIGTERM);
        release_stop_signals();
        ::_exit(0);
      },
      testing::KilledBySignal(SIGTERM), "");
}

TEST(RunControl, LeavesWithTryAgainAndTheReason) {
  in_own_process([] {
    comm::LocalCommunicator comm;
    RunControl control(comm, {300.0, 1e-9});
    if (!control.should_stop() || control.agree() != SignalWish::stop) return false;
    try {
      control.leave("before block 3");
    } catch (const comm::SharedFailure& failure) {
      const std::string text = failure.what();
      return failure.code() == ExitCode::try_again &&
             text.find("before block 3 (time limit)") != std::string::npos;
    }
    return false;
  });
}

TEST(RunControl, ACheckpointIsDueByItsInterval) {
  in_own_process([] {
    comm::LocalCommunicator comm;
    RunControl control(comm, {0.0, std::nullopt});
    return control.agree() == SignalWish::checkpoint && !control.should_stop();
  });
}

}  // namespace
}  // namespace shardquant::control
