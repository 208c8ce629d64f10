#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "pipeline/failure.hpp"

namespace shardquant::comm {

/// The ranks of this run. Every call that names no peer is collective: all ranks make it, in the
/// same order. Sizes are 64 bit; implementations split what their library cannot carry in one
/// piece.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  bool is_root() const { return rank() == 0; }

  virtual void barrier() = 0;
  /// Root's bytes to all ranks; every rank gives a span of the same size.
  /// @throws Failure(unavailable), as all that follow, where the network or MPI fails
  virtual void broadcast(std::span<std::byte> data) = 0;
  /// Blocks until `peer` has taken the bytes or they are buffered. peer != rank()
  virtual void send(std::span<const std::byte> data, int peer) = 0;
  /// Fills `data` with what `peer` sent by one send of the same size.
  virtual void receive(std::span<std::byte> data, int peer) = 0;
  /// Every rank's bytes, by rank, on root; an empty list elsewhere. Sizes may differ.
  virtual std::vector<std::vector<std::byte>> gather(std::span<const std::byte> data) = 0;
  /// The largest value over all ranks, on all ranks.
  virtual std::int64_t max(std::int64_t value) = 0;
  /// Tells all ranks, without waiting for them, to come to their next collective call soon. May be
  /// repeated; costs nothing after the first time. Not collective.
  virtual void raise_notice() = 0;
  /// Whether a notice of any rank has arrived, passing it on. Not collective; cheap.
  virtual bool notice_raised() = 0;
  /// Seconds that this rank has spent in the calls above so far; 0 where nobody counts them.
  virtual double waited_seconds() const { return 0.0; }
  /// Ends all ranks at once, without any clean-up; the launcher reports `code`.
  [[noreturn]] virtual void abort(int code) = 0;
};

/// A fault that all ranks know of and throw together, so that they can end in an orderly way. Only
/// the rank that met it has a text to print; it is empty on the others.
class SharedFailure : public Failure {
 public:
  using Failure::Failure;
};

/// Root's text on all ranks.
std::string broadcast_text(Communicator& comm, std::string text);

/// Element by element: whether any rank's flag is set; on all ranks. flags: of the same size
/// everywhere.
std::vector<bool> any_of_ranks(Communicator& comm, std::span<const std::byte> flags);

/// Every rank's values, one rank after the other, on root; nothing elsewhere. Collective.
template <class Value>
std::vector<Value> gather_values(Communicator& comm, const std::vector<Value>& mine) {
  static_assert(std::is_trivially_copyable_v<Value>);
  std::vector<Value> all;
  for (const auto& part : comm.gather(std::as_bytes(std::span(mine)))) {
    const std::size_t before = all.size();
    all.resize(before + part.size() / sizeof(Value));
    if (!part.empty()) std::memcpy(all.data() + before, part.data(), part.size());
  }
  return all;
}

/// Runs `work` on root. Where it throws Failure, all ranks throw SharedFailure with its code, root
/// with its text, so that an error is printed once. Collective; `work` is not.
template <class Work>
void on_root(Communicator& comm, Work&& work);

/// Runs `work` on every rank. Where it throws Failure on some, all ranks throw SharedFailure with
/// the code of the lowest of those, that rank with its text. Collective. `work` may be collective
/// itself as long as its own faults are shared too: a SharedFailure passes through as it is.
template <class Work>
void on_all(Communicator& comm, Work&& work);

namespace detail {

/// Agrees on the lowest failed rank and throws on all if there is one; `failure` is this rank's.
void settle(Communicator& comm, const Failure* failure);

}  // namespace detail

template <class Work>
void on_all(Communicator& comm, Work&& work) {
  try {
    work();
  } catch (const SharedFailure&) {
    throw;  // all ranks are here, and the text is where the fault was
  } catch (const Failure& failure) {
    comm.raise_notice();  // for those that would work on for long before they come here
    detail::settle(comm, &failure);
    return;  // not reached: settle throws for a failure
  }
  detail::settle(comm, nullptr);
}

template <class Work>
void on_root(Communicator& comm, Work&& work) {
  on_all(comm, [&] {
    if (comm.is_root()) work();
  });
}

}  // namespace shardquant::comm
