#pragma once

#include <optional>
#include <string>

#include "pipeline/comm/communicator.hpp"
#include "pipeline/control/stop_signals.hpp"

namespace shardquant::control {

/// Decides when a run puts its state on disk and when it ends before it is done: by signals, by its
/// time limit, by the interval of checkpoints. Ranks poll between layers and agree at safe points,
/// so that all leave at the same one.
class RunControl {
 public:
  struct Options {
    double checkpoint_every_s = 300.0;
    std::optional<double> time_limit_s;  ///< from the start of the run
  };

  RunControl(comm::Communicator& comm, Options options);

  /// Between two layers: whether to put the work down and come to the next safe point. Tells the
  /// other ranks. Not collective; cheap.
  bool should_stop();

  /// Whether there is no time to store what can be computed again. Not collective.
  bool must_hurry();

  /// At a safe point: the strongest wish of all ranks, for all to carry out. Collective.
  SignalWish agree();

  /// Ends the run on all ranks with ExitCode::try_again. where: "before block 12".
  /// @throws SharedFailure always, with a text on root
  [[noreturn]] void leave(const std::string& where);

  /// Seconds that a layer took here: what must be left of the time limit to begin another.
  void note_layer(double seconds);
  /// A checkpoint was written and took so long.
  void note_checkpoint(double seconds);

 private:
  SignalWish own_wish();
  double elapsed() const;

  comm::Communicator& comm_;
  Options options_;
  double begin_;
  double longest_layer_ = 0.0;
  double checkpoint_seconds_ = 0.0;
  double last_checkpoint_;
  bool time_is_up_ = false;
};

}  // namespace shardquant::control
