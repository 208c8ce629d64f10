#include "pipeline/comm/communicator.hpp"

#include <algorithm>

namespace shardquant::comm {

std::string broadcast_text(Communicator& comm, std::string text) {
  auto size = static_cast<std::int64_t>(text.size());
  comm.broadcast(std::as_writable_bytes(std::span(&size, 1)));
  text.resize(static_cast<std::size_t>(size));
  comm.broadcast(std::as_writable_bytes(std::span(text)));
  return text;
}

std::vector<bool> any_of_ranks(Communicator& comm, std::span<const std::byte> flags) {
  std::vector<std::byte> any(flags.size());
  for (const auto& part : comm.gather(flags)) {
    if (part.size() != any.size()) {
      fail(ExitCode::internal, "ranks compare {} flags with {}", any.size(), part.size());
    }
    for (std::size_t i = 0; i < any.size(); ++i) any[i] |= part[i];
  }
  comm.broadcast(any);
  std::vector<bool> result(any.size());
  std::transform(any.begin(), any.end(), result.begin(),
                 [](std::byte flag) { return flag != std::byte{0}; });
  return result;
}

namespace detail {

void settle(Communicator& comm, const Failure* failure) {
  // One reduction tells both who failed first and why: lower ranks give larger values.
  constexpr std::int64_t kCodes = 256;
  std::int64_t mine = 0;
  if (failure != nullptr) {
    mine = (comm.size() - comm.rank()) * kCodes + static_cast<std::int64_t>(failure->code());
  }
  const std::int64_t first = comm.max(mine);
  if (first == 0) return;
  throw SharedFailure(static_cast<ExitCode>(first % kCodes), first == mine ? failure->what() : "");
}

}  // namespace detail

}  // namespace shardquant::comm
