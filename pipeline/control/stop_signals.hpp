#pragma once

namespace shardquant::control {

/// What the signals that came so far ask for, the strongest.
enum class SignalWish {
  none,
  checkpoint,  ///< USR2: write a checkpoint and go on
  stop,        ///< USR1: write a checkpoint and leave
  stop_fast,   ///< TERM, INT: leave without what can be computed again
};

/// Holds USR1, USR2, TERM and INT back until catch_stop_signals; what comes meanwhile is kept, also
/// across exec. First thing in main.
void hold_stop_signals();

/// From here on these signals only note a wish; a second INT ends the process.
void catch_stop_signals();

/// Gives the signals back their default action, for commands that have nothing to save. A signal
/// that came before is carried out now.
void release_stop_signals();

/// The wish so far. USR2 is forgotten by forget_checkpoint_wish.
SignalWish signal_wish();
void forget_checkpoint_wish();

/// Name of the signal behind the wish, for messages: "SIGUSR1"; empty where there is none.
const char* wish_name();

}  // namespace shardquant::control
