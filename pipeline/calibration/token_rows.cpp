#include "pipeline/calibration/token_rows.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/token_stream.hpp"

namespace shardquant::calibration {

namespace {

// To be shuffled, documents are held in memory.
constexpr std::int64_t kMostShuffledBytes = std::int64_t{4} << 30;
constexpr std::int64_t kAnyId = std::int64_t{1} << 31;

// SplitMix64 of Steele, Lea and Flood (2014).
std::uint64_t next_random(std::uint64_t& state) {
  state += 0x9E3779B97F4A7C15;
  std::uint64_t mixed = state;
  mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9;
  mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
  return mixed ^ mixed >> 31;
}

std::optional<std::int32_t> bos_of(const tokenizer::Tokenizer* tokenizer, BosPolicy policy) {
  if (policy == BosPolicy::none || tokenizer == nullptr) return std::nullopt;
  if (!tokenizer->bos()) {
    fail(ExitCode::config,
         "calibration.bos: the tokenizer has no BOS token; set calibration.bos to none");
  }
  return tokenizer->bos();
}

}  // namespace

std::vector<std::int64_t> shuffled(std::int64_t count, std::uint64_t seed) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[next_random(seed) % i]);
  return order;
}

void append_document(tokenizer::Tokenizer& tokenizer, std::string_view text,
                     std::optional<std::int32_t> bos, std::vector<std::int32_t>& ids,
                     const std::filesystem::path& file) {
  if (bos) ids.push_back(*bos);
  try {
    tokenizer.encode(text, ids);
  } catch (const Failure& failure) {
    throw Failure(failure.code(), fmt::format("{}: {}", file.string(), failure.what()));
  }
}

RowReader::RowReader(tokenizer::Tokenizer* tokenizer, const PackingRules& rules)
    : tokenizer_(tokenizer), rules_(rules) {
  bos_of(tokenizer, rules.bos);
}

SourceRecord RowReader::read(const config::RunConfig::Source& source, std::int64_t count,
                             std::vector<std::int32_t>& rows) {
  SourceRecord record;
  record.rows = count;
  const SourceKind kind = source_kind(source.kind, source_files(source.path).front());
  if (kind == SourceKind::tokens || kind == SourceKind::safetensors) {
    read_streams(source, count, rows, record);
    return record;
  }
  const bool bos_in_rows = rules_.bos == BosPolicy::row;
  const std::int64_t own_tokens = rules_.length - (bos_in_rows ? 1 : 0);
  std::vector<std::int32_t> stream;
  read_text(source, count * own_tokens, stream, record);
  if (std::ssize(stream) < count * own_tokens) {
    fail(ExitCode::bad_data, "{}: {} rows of {} tokens are wanted of it, but only {} fit",
         source.path.string(), count, rules_.length, std::ssize(stream) / own_tokens);
  }
  for (std::int64_t row = 0; row < count; ++row) {
    if (bos_in_rows) rows.push_back(*tokenizer_->bos());
    const auto first = stream.begin() + row * own_tokens;
    rows.insert(rows.end(), first, first + own_tokens);
  }
  return record;
}

void RowReader::take_document(std::string_view text, const std::filesystem::path& file,
                              std::vector<std::int32_t>& stream, SourceRecord& record) {
  if (rules_.drops_twins && !seen_.insert(checkpoint::xxh3_128_hex(text)).second) {
    ++record.twins;
    return;
  }
  const bool has_bos = rules_.bos == BosPolicy::document;
  append_document(*tokenizer_, text, has_bos ? tokenizer_->bos() : std::nullopt, stream, file);
  ++record.documents;
}

void RowReader::read_text(const config::RunConfig::Source& source, std::int64_t wanted,
                          std::vector<std::int32_t>& stream, SourceRecord& record) {
  if (tokenizer_ == nullptr) fail(ExitCode::internal, "text without a tokenizer");
  std::vector<Document> held;
  std::int64_t held_bytes = 0;
  for (const auto& file : source_files(source.path)) {
    if (rules_.seed == 0 && std::ssize(stream) >= wanted) return;
    const DocumentRules rules{source_kind(source.kind, file), rules_.separator, source.field};
    if (rules.kind != SourceKind::text && rules.kind != SourceKind::jsonl) {
      fail(ExitCode::bad_data, "{}: text and tokens in one source; make them two", file.string());
    }
    record.files.push_back(read_documents(file, rules, [&](std::string_view text) {
      if (rules_.seed == 0) {
        take_document(text, file, stream, record);
        return std::ssize(stream) < wanted;
      }
      held.push_back({std::string(text), file});
      held_bytes += std::ssize(text);
      if (held_bytes > kMostShuffledBytes) {
        fail(ExitCode::bad_data, "{}: more than {} bytes are not shuffled; set calibration.seed 0",
             source.path.string(), kMostShuffledBytes);
      }
      return true;
    }));
  }
  for (const std::int64_t i : shuffled(std::ssize(held), rules_.seed)) {
    if (std::ssize(stream) >= wanted) return;
    const Document& document = held[static_cast<std::size_t>(i)];
    take_document(document.text, document.file, stream, record);
  }
}

void RowReader::read_streams(const config::RunConfig::Source& source, std::int64_t count,
                             std::vector<std::int32_t>& rows, SourceRecord& record) {
  struct Place {
    std::size_t file;
    std::int64_t row;
  };
  std::vector<formats::TokenStream> streams;
  std::vector<Place> places;
  for (const auto& file : source_files(source.path)) {
    const formats::TokenStream& stream = streams.emplace_back(file);
    for (std::int64_t row = 0; row < stream.rows_of(rules_.length); ++row) {
      places.push_back({streams.size() - 1, row});
    }
    record.files.push_back(record_file(file));
  }
  if (std::ssize(places) < count) {
    fail(ExitCode::bad_data, "{}: {} rows of {} tokens are wanted of it, but only {} fit",
         source.path.string(), count, rules_.length, places.size());
  }
  std::vector<std::int64_t> order(places.size());
  std::iota(order.begin(), order.end(), 0);
  if (rules_.seed != 0) order = shuffled(std::ssize(places), rules_.seed);
  std::vector<std::int32_t> row(static_cast<std::size_t>(rules_.length));
  for (std::int64_t i = 0; i < count; ++i) {
    const Place& place = places[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])];
    streams[place.file].read_row(place.row, kAnyId, row);
    rows.insert(rows.end(), row.begin(), row.end());
  }
}

}  // namespace shardquant::calibration
