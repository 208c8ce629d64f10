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

// SplitMix64 of Steele, Lea and Flood (2014).
std::uint64_t next_random(std::uint64_t& state) {
  state += 0x9E3779B97F4A7C15;
  std::uint64_t mixed = state;
  mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9;
  mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
  return mixed ^ mixed >> 31;
}

// A document that waits to be shuffled.
struct HeldDocument {
  std::string text;
  std::filesystem::path file;
  std::int64_t number;
  bool is_rendered;
};

std::int64_t rows_to_take(const config::RunConfig::Source& source, const RowCount& count,
                          std::int64_t there, std::int64_t length) {
  if (there < count.least) {
    fail(ExitCode::bad_data, "{}: {} rows of {} tokens are wanted of it, but only {} fit",
         source.path.string(), count.least, length, there);
  }
  return std::min(there, count.most);
}

}  // namespace

std::vector<std::int64_t> shuffled(std::int64_t count, std::uint64_t seed) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[next_random(seed) % i]);
  return order;
}

RowReader::RowReader(tokenizer::Tokenizer* tokenizer, const PackingRules& rules)
    : tokenizer_(tokenizer), rules_(rules) {
  if (tokenizer != nullptr) {
    encoder_.emplace(*tokenizer, rules.bos, rules.vocab_size, "calibration.bos: none");
  }
}

SourceRecord RowReader::read(const config::RunConfig::Source& source, const RowCount& count,
                             std::vector<std::int32_t>& rows) {
  SourceRecord record;
  const SourceKind kind = source_kind(source.kind, source_files(source.path).front());
  if (!is_text(kind)) {
    read_streams(source, count, rows, record);
    return record;
  }
  if (!encoder_) fail(ExitCode::internal, "text without a tokenizer");
  const bool bos_in_rows = encoder_->policy() == BosPolicy::row;
  const std::int64_t own_tokens = rules_.length - (bos_in_rows ? 1 : 0);
  std::vector<std::int32_t> stream;
  read_text(source, count.most * own_tokens, stream, record);
  record.rows = rows_to_take(source, count, std::ssize(stream) / own_tokens, rules_.length);
  for (std::int64_t row = 0; row < record.rows; ++row) {
    if (bos_in_rows) rows.push_back(*tokenizer_->bos());
    const auto first = stream.begin() + row * own_tokens;
    rows.insert(rows.end(), first, first + own_tokens);
  }
  return record;
}

void RowReader::take_document(const Document& document, const std::filesystem::path& file,
                              std::vector<std::int32_t>& stream, SourceRecord& record) {
  if (rules_.drops_twins && !seen_.insert(checkpoint::xxh3_128_hex(document.text)).second) {
    ++record.twins;
    return;
  }
  encoder_->append(document, file, stream);
  ++record.documents;
}

void RowReader::read_text(const config::RunConfig::Source& source, std::int64_t wanted,
                          std::vector<std::int32_t>& stream, SourceRecord& record) {
  std::vector<HeldDocument> held;
  std::int64_t held_bytes = 0;
  for (const auto& file : source_files(source.path)) {
    if (rules_.seed == 0 && std::ssize(stream) >= wanted) return;
    const DocumentRules rules{source_kind(source.kind, file), rules_.separator, source.field,
                              rules_.render};
    if (!is_text(rules.kind)) {
      fail(ExitCode::bad_data, "{}: text and tokens in one source; make them two", file.string());
    }
    record.files.push_back(read_documents(file, rules, [&](const Document& document) {
      if (rules_.seed == 0) {
        take_document(document, file, stream, record);
        return std::ssize(stream) < wanted;
      }
      held.push_back({std::string(document.text), file, document.number, document.is_rendered});
      held_bytes += std::ssize(document.text);
      if (held_bytes > kMostShuffledBytes) {
        fail(ExitCode::bad_data, "{}: more than {} bytes are not shuffled; set calibration.seed 0",
             source.path.string(), kMostShuffledBytes);
      }
      return true;
    }));
  }
  for (const std::int64_t i : shuffled(std::ssize(held), rules_.seed)) {
    if (std::ssize(stream) >= wanted) return;
    const HeldDocument& one = held[static_cast<std::size_t>(i)];
    take_document({one.text, one.number, one.is_rendered}, one.file, stream, record);
  }
}

void RowReader::read_streams(const config::RunConfig::Source& source, const RowCount& count,
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
    record.files.push_back(record_file(file, source_kind(source.kind, file)));
  }
  record.rows = rows_to_take(source, count, std::ssize(places), rules_.length);
  std::vector<std::int64_t> order(places.size());
  std::iota(order.begin(), order.end(), 0);
  if (rules_.seed != 0) order = shuffled(std::ssize(places), rules_.seed);
  std::vector<std::int32_t> row(static_cast<std::size_t>(rules_.length));
  for (std::int64_t i = 0; i < record.rows; ++i) {
    const Place& place = places[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])];
    streams[place.file].read_row(place.row, rules_.vocab_size, row);
    rows.insert(rows.end(), row.begin(), row.end());
  }
}

}  // namespace shardquant::calibration
