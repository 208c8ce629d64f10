#include "pipeline/stages/hash_model.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/report/progress.hpp"
#include "pipeline/report/progress_ticker.hpp"

namespace shardquant::stages {

namespace {

using checkpoint::Xxh3;
using Digest = std::array<std::uint8_t, 16>;

// A part of a tensor that is read and hashed at once.
struct Piece {
  const formats::SafetensorsFile* file = nullptr;
  const formats::TensorInfo* tensor = nullptr;
  std::int64_t offset = 0, bytes = 0;
};

std::vector<Piece> cut_into_pieces(const formats::SafetensorsFolder& folder) {
  constexpr std::int64_t kPieceBytes = std::int64_t{16} << 20;
  std::vector<Piece> pieces;
  for (const formats::SafetensorsFile& file : folder.files()) {
    for (const formats::TensorInfo& tensor : file.tensors()) {
      for (std::int64_t at = 0; at < tensor.bytes(); at += kPieceBytes) {
        pieces.push_back({&file, &tensor, at, std::min(kPieceBytes, tensor.bytes() - at)});
      }
    }
  }
  return pieces;
}

std::vector<Digest> hash_own_pieces(const comm::Communicator& comm, report::Log& log,
                                    const std::vector<Piece>& pieces) {
  constexpr double kShortestTold = 10.0;
  const auto ranks = static_cast<std::size_t>(comm.size());
  report::Progress progress(log, "check", std::ssize(pieces), static_cast<double>(pieces.size()));
  progress.set_unit("parts of the weights hashed");
  progress.set_shortest_told(kShortestTold);
  const report::ProgressTicker ticker(progress);
  std::vector<Digest> digests;
  std::vector<std::byte> buffer;
  for (auto i = static_cast<std::size_t>(comm.rank()); i < pieces.size(); i += ranks) {
    buffer.resize(static_cast<std::size_t>(pieces[i].bytes));
    pieces[i].file->read_bytes(*pieces[i].tensor, pieces[i].offset, buffer);
    Xxh3 hash(Xxh3::Width::bits_128);
    hash.update(buffer);
    digests.push_back(hash.digest_128());
    // The other ranks are as far: pieces are dealt out in turn.
    const auto done = static_cast<std::int64_t>(std::min(ranks, pieces.size() - i));
    progress.complete(done, static_cast<double>(done));
  }
  return digests;
}

}  // namespace

std::vector<std::string> hash_model(comm::Communicator& comm, report::Log& log,
                                    const formats::SafetensorsFolder& folder) {
  const std::vector<Piece> pieces = cut_into_pieces(folder);
  std::vector<Digest> own;
  comm::on_all(comm, [&] { own = hash_own_pieces(comm, log, pieces); });
  const auto parts = comm.gather(std::as_bytes(std::span(own)));
  if (!comm.is_root()) return {};

  std::vector<std::string> hashes;
  std::size_t piece = 0;
  for (const formats::SafetensorsFile& file : folder.files()) {
    std::string digests;
    for (; piece < pieces.size() && pieces[piece].file == &file; ++piece) {
      const auto rank = piece % static_cast<std::size_t>(comm.size());
      const auto at = piece / static_cast<std::size_t>(comm.size()) * sizeof(Digest);
      digests.append(reinterpret_cast<const char*>(parts[rank].data() + at), sizeof(Digest));
    }
    hashes.push_back(checkpoint::xxh3_128_hex(digests));
  }
  return hashes;
}

}  // namespace shardquant::stages
