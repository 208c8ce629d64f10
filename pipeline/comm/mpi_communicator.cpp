#include "pipeline/comm/mpi_communicator.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "pipeline/comm/mpi_check.hpp"

namespace shardquant::comm {

namespace {

constexpr int kTag = 0;        // messages between two ranks are matched by order alone
constexpr int kNoticeTag = 1;  // but for notices, which come between any others

// Calls `move` for consecutive pieces of a message.
template <class Span, class Move>
void in_pieces(Span data, std::int64_t piece_bytes, Move move) {
  const auto total = static_cast<std::int64_t>(data.size());
  for (std::int64_t at = 0; at < total; at += piece_bytes) {
    const std::int64_t bytes = std::min(piece_bytes, total - at);
    move(data.data() + at, static_cast<int>(bytes));
  }
}

}  // namespace

MpiCommunicator::MpiCommunicator(std::int64_t piece_bytes) : piece_bytes_(piece_bytes) {
  SHARDQUANT_MPI_TRY(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  SHARDQUANT_MPI_TRY(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
  SHARDQUANT_MPI_TRY(MPI_Comm_size(MPI_COMM_WORLD, &size_));
}

void MpiCommunicator::barrier() {
  SHARDQUANT_MPI_TRY(MPI_Barrier(MPI_COMM_WORLD));
}

void MpiCommunicator::broadcast(std::span<std::byte> data) {
  in_pieces(data, piece_bytes_, [](std::byte* piece, int bytes) {
    SHARDQUANT_MPI_TRY(MPI_Bcast(piece, bytes, MPI_BYTE, 0, MPI_COMM_WORLD));
  });
}

void MpiCommunicator::send(std::span<const std::byte> data, int peer) {
  in_pieces(data, piece_bytes_, [&](const std::byte* piece, int bytes) {
    SHARDQUANT_MPI_TRY(MPI_Send(piece, bytes, MPI_BYTE, peer, kTag, MPI_COMM_WORLD));
  });
}

void MpiCommunicator::receive(std::span<std::byte> data, int peer) {
  in_pieces(data, piece_bytes_, [&](std::byte* piece, int bytes) {
    MPI_Status status;
    SHARDQUANT_MPI_TRY(MPI_Recv(piece, bytes, MPI_BYTE, peer, kTag, MPI_COMM_WORLD, &status));
    int received = 0;
    SHARDQUANT_MPI_TRY(MPI_Get_count(&status, MPI_BYTE, &received));
    if (received != bytes) {
      fail(ExitCode::internal, "rank {} sent {} bytes where {} were expected", peer, received,
           bytes);
    }
  });
}

std::vector<std::vector<std::byte>> MpiCommunicator::gather(std::span<const std::byte> data) {
  const auto bytes = static_cast<std::int64_t>(data.size());
  std::vector<std::int64_t> sizes(is_root() ? static_cast<std::size_t>(size_) : 0);
  SHARDQUANT_MPI_TRY(
      MPI_Gather(&bytes, 1, MPI_INT64_T, sizes.data(), 1, MPI_INT64_T, 0, MPI_COMM_WORLD));
  if (!is_root()) {
    send(data, 0);
    return {};
  }
  std::vector<std::vector<std::byte>> parts(static_cast<std::size_t>(size_));
  parts[0].assign(data.begin(), data.end());
  for (int peer = 1; peer < size_; ++peer) {
    auto& part = parts[static_cast<std::size_t>(peer)];
    part.resize(static_cast<std::size_t>(sizes[static_cast<std::size_t>(peer)]));
    receive(part, peer);
  }
  return parts;
}

std::int64_t MpiCommunicator::max(std::int64_t value) {
  std::int64_t result = 0;
  SHARDQUANT_MPI_TRY(MPI_Allreduce(&value, &result, 1, MPI_INT64_T, MPI_MAX, MPI_COMM_WORLD));
  return result;
}

void MpiCommunicator::raise_notice() {
  if (noticed_) return;
  noticed_ = true;
  send_notices();
}

// Every rank passes a notice on to the ranks 1, 2, 4, ... beyond it: it reaches all in as many
// steps as the number of ranks has binary digits, whoever began.
void MpiCommunicator::send_notices() {
  for (int distance = 1; distance < size_; distance *= 2) {
    MPI_Request request = MPI_REQUEST_NULL;
    SHARDQUANT_MPI_TRY(MPI_Isend(nullptr, 0, MPI_BYTE, (rank_ + distance) % size_, kNoticeTag,
                                 MPI_COMM_WORLD, &request));
    // Nobody waits for it: the receiver may have left when it arrives.
    SHARDQUANT_MPI_TRY(MPI_Request_free(&request));
  }
}

bool MpiCommunicator::notice_raised() {
  for (;;) {
    int waiting = 0;
    SHARDQUANT_MPI_TRY(
        MPI_Iprobe(MPI_ANY_SOURCE, kNoticeTag, MPI_COMM_WORLD, &waiting, MPI_STATUS_IGNORE));
    if (waiting == 0) return noticed_;
    SHARDQUANT_MPI_TRY(MPI_Recv(nullptr, 0, MPI_BYTE, MPI_ANY_SOURCE, kNoticeTag, MPI_COMM_WORLD,
                                MPI_STATUS_IGNORE));
    raise_notice();
  }
}

void MpiCommunicator::abort(int code) {
  std::fflush(nullptr);  // MPI_Abort ends this process as a signal would
  MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

}  // namespace shardquant::comm
