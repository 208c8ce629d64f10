#include "pipeline/waves/hidden_state.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>

#include "pipeline/checkpoint/generation.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/report/memory.hpp"

namespace shardquant::waves {

namespace {

namespace fs = std::filesystem;
using checkpoint::Generation;

constexpr std::int64_t kPieceBytes = std::int64_t{8} << 20;

std::string file_name(std::int64_t slice) {
  return fmt::format("slice-{:05}.h5", slice);
}

std::string kind_of(std::int64_t block, std::int64_t slice) {
  return fmt::format("hidden states of slice {} before block {}", slice, block);
}

// Calls `move` for consecutive rows that make a piece of bounded size.
template <class Move>
void in_pieces(std::int64_t rows, std::int64_t cols, Move move) {
  const auto step =
      std::max<std::int64_t>(1, kPieceBytes / (cols * static_cast<std::int64_t>(sizeof(float))));
  for (std::int64_t first = 0; first < rows; first += step) {
    move(first, std::min(step, rows - first));
  }
}

void write_slice(const RunContext& context, const fs::path& path, std::int64_t block,
                 const OwnSlice& slice) {
  const kernels::ConstMatrixView hidden = slice.hidden;
  checkpoint::StateFileWriter file(path, kind_of(block, slice.index), context.fingerprint);
  file.begin_dataset<float>("hidden", hidden.size());
  std::vector<float> piece;
  in_pieces(hidden.rows, hidden.cols, [&](std::int64_t first, std::int64_t count) {
    piece.resize(static_cast<std::size_t>(count * hidden.cols));
    context.backend.download(hidden.row_range(first, count), piece);
    file.append<float>(piece);
  });
  file.commit();
}

void read_slice(const RunContext& context, const fs::path& path, std::int64_t block,
                OwnSlice& slice) {
  const kernels::MatrixView hidden = slice.hidden;
  checkpoint::StateFileReader file(path, kind_of(block, slice.index), context.fingerprint);
  if (file.begin_dataset<float>("hidden") != hidden.size()) {
    fail(ExitCode::bad_data, "{}: holds another number of values", path.string());
  }
  std::vector<float> piece;
  in_pieces(hidden.rows, hidden.cols, [&](std::int64_t first, std::int64_t count) {
    piece.resize(static_cast<std::size_t>(count * hidden.cols));
    file.read_next<float>(piece);
    context.backend.upload(piece, hidden.row_range(first, count));
  });
}

// The identities of this rank's files, one line each, in the order of its slices.
std::string own_identities(const fs::path& folder, std::span<const OwnSlice> slices) {
  std::string lines;
  for (const OwnSlice& slice : slices) {
    lines += checkpoint::state_file_identity(folder / file_name(slice.index)) + '\n';
  }
  return lines;
}

// Files of all ranks by name, on root.
std::map<std::string, std::string> gather_files(const RunContext& context,
                                                const std::string& lines) {
  const auto parts = context.comm.gather(std::as_bytes(std::span(lines)));
  std::map<std::string, std::string> files;
  for (std::size_t rank = 0; rank < parts.size(); ++rank) {
    std::string_view left(reinterpret_cast<const char*>(parts[rank].data()), parts[rank].size());
    auto slice = static_cast<std::int64_t>(rank);
    for (; !left.empty(); slice += context.comm.size()) {
      const std::size_t end = left.find('\n');
      files[file_name(slice)] = left.substr(0, end);
      left.remove_prefix(end + 1);
    }
  }
  return files;
}

std::int64_t generation_bytes(const RunContext& context) {
  return context.slices.rows * context.slices.length * context.model.description.hidden_size *
         static_cast<std::int64_t>(sizeof(float));
}

// A reserve for the results of layers, which matter more than what can be computed again.
bool has_room(const RunContext& context) {
  const std::int64_t bytes = generation_bytes(context);
  const std::int64_t free = context.work.free_bytes();
  if (free / 10 * 9 >= bytes) return true;
  context.log.line("checkpoint",
                   fmt::format("hidden states left out: {} wanted, {} free; a restart "
                               "will compute them again",
                               report::bytes_text(bytes), report::bytes_text(free)));
  return false;
}

// Takes what a generation holds of this rank's slices; false where it is damaged or lacks one.
bool read_own(const RunContext& context, const Generation& generation, std::span<OwnSlice> slices) {
  const fs::path folder =
      checkpoint::generation_folder(context.work.hidden_states(), generation.number);
  try {
    for (OwnSlice& slice : slices) {
      const auto listed = generation.files.find(file_name(slice.index));
      const fs::path path = folder / file_name(slice.index);
      if (listed == generation.files.end() ||
          checkpoint::state_file_identity(path) != listed->second) {
        return false;
      }
      read_slice(context, path, generation.block, slice);
    }
    return true;
  } catch (const Failure& failure) {
    if (failure.code() == ExitCode::bad_data || failure.code() == ExitCode::no_input) return false;
    throw;
  }
}

void set_generation_aside(const RunContext& context, std::int64_t number) {
  const fs::path folder = checkpoint::generation_folder(context.work.hidden_states(), number);
  const fs::path aside = checkpoint::set_aside_damaged(folder);
  context.log.line("checkpoint",
                   fmt::format("warning: {} is damaged; kept as {}, an earlier state is taken",
                               folder.string(), aside.filename().string()));
}

}  // namespace

void save_hidden_states(const RunContext& context, std::int64_t block,
                        std::span<const OwnSlice> slices) {
  const double begin = context.log.elapsed();
  std::int64_t number = 0;
  comm::on_root(context.comm, [&] {
    if (!has_room(context)) return;
    number = checkpoint::begin_generation(context.work.hidden_states());
    context.events.write("checkpoint_begin", "checkpoint",
                         {{"generation", number}, {"block", block}});
  });
  number = context.comm.max(number);
  if (number == 0) {
    context.control.note_checkpoint(context.log.elapsed() - begin);
    return;
  }

  const fs::path folder = checkpoint::generation_folder(context.work.hidden_states(), number);
  std::string lines;
  comm::on_all(context.comm, [&] {
    for (const OwnSlice& slice : slices) {
      write_slice(context, folder / file_name(slice.index), block, slice);
    }
    lines = own_identities(folder, slices);
  });
  auto files = gather_files(context, lines);
  comm::on_root(context.comm, [&] {
    checkpoint::commit_generation(context.work.hidden_states(), context.fingerprint,
                                  {number, block, context.comm.size(), std::move(files)});
    context.events.write("checkpoint_end", "checkpoint",
                         {{"generation", number},
                          {"block", block},
                          {"bytes", generation_bytes(context)},
                          {"dur_s", context.log.elapsed() - begin}});
  });
  context.control.note_checkpoint(context.log.elapsed() - begin);
}

std::int64_t load_hidden_states(const RunContext& context, std::int64_t last_block,
                                std::span<OwnSlice> slices) {
  const fs::path folder = context.work.hidden_states();
  std::vector<std::int64_t> numbers;
  if (context.comm.is_root()) numbers = checkpoint::committed_generations(folder);
  for (std::size_t i = 0;; ++i) {
    const auto number = context.comm.max(i < numbers.size() ? numbers[i] : 0);
    if (number == 0) return -1;
    std::optional<Generation> generation;
    comm::on_all(context.comm, [&] {
      generation = checkpoint::load_generation(folder, context.fingerprint, number);
    });
    const bool usable = generation && generation->block <= last_block;
    bool whole = generation.has_value();
    comm::on_all(context.comm, [&] {
      if (usable) whole = read_own(context, *generation, slices);
    });
    if (context.comm.max(whole ? 0 : 1) != 0) {
      comm::on_root(context.comm, [&] { set_generation_aside(context, number); });
    } else if (usable) {
      return generation->block;
    }
  }
}

}  // namespace shardquant::waves
