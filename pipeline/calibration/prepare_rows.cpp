#include "pipeline/calibration/prepare_rows.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <system_error>

#include "pipeline/calibration/chat_renderer.hpp"
#include "pipeline/calibration/row_sets.hpp"
#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::calibration {

namespace {

namespace fs = std::filesystem;
using config::RunConfig;
using formats::json_quote;

std::vector<RunConfig::Source> sources_of(const RunConfig::Calibration& calibration) {
  if (!calibration.sources.empty()) return calibration.sources;
  if (!calibration.tokens.empty()) {
    const bool is_tensor = calibration.tokens.extension() == ".safetensors";
    return {{calibration.tokens, is_tensor ? "safetensors" : "tokens", "text", 1.0}};
  }
  return {{calibration.text, "auto", "text", 1.0}};
}

PackingRules rules_of(const RunConfig::Calibration& calibration) {
  PackingRules rules;
  rules.length = calibration.length;
  if (!calibration.tokens.empty()) {
    rules.bos = BosPolicy::none;
    return rules;  // rows as they lie in the file
  }
  rules.bos = bos_policy(calibration.bos);
  rules.separator = calibration.document_separator;
  rules.seed = static_cast<std::uint64_t>(calibration.seed);
  rules.drops_twins = calibration.dedupe == "exact";
  return rules;
}

bool needs_tokenizer(const std::vector<RunConfig::Source>& sources) {
  for (const auto& source : sources) {
    if (is_text(source_kind(source.kind, source_files(source.path).front()))) return true;
  }
  return false;
}

std::string_view bytes_of(const RowSet& set) {
  return {reinterpret_cast<const char*>(set.tokens.data()),
          set.tokens.size() * sizeof(std::int32_t)};
}

std::string taken_for(const FileRecord& file) {
  std::string text(kind_text(file.kind));
  if (file.chats > 0) text += " with chat messages";
  return text;
}

// "PATH: 2 files taken for JSON lines, 1 file taken for text; 300 documents"
std::string source_note(const RunConfig::Source& source, const SourceRecord& record) {
  std::map<std::string, int> kinds;
  for (const FileRecord& file : record.files) ++kinds[taken_for(file)];
  std::string text;
  for (const auto& [kind, count] : kinds) {
    text += fmt::format("{}{}taken for {}", text.empty() ? "" : ", ",
                        record.files.size() == 1 ? "" : fmt::format("{} files ", count), kind);
  }
  if (record.documents > 0) text += fmt::format("; {} documents", record.documents);
  return fmt::format("{}: {}; {} rows", source.path.string(), text, record.rows);
}

std::string source_json(const RunConfig::Source& source, const SourceRecord& record) {
  std::string files;
  for (const FileRecord& file : record.files) {
    files +=
        fmt::format("{}{{\"path\": {}, \"bytes_read\": {}, \"xxh3_128\": {}, \"taken_for\": {}}}",
                    files.empty() ? "" : ", ", json_quote(file.path.string()), file.bytes,
                    json_quote(file.hash), json_quote(taken_for(file)));
  }
  return fmt::format(
      "{{\"path\": {}, \"kind\": {}, \"weight\": {}, \"rows\": {}, \"documents\": {}, "
      "\"twins_dropped\": {}, \"files\": [{}]}}",
      json_quote(source.path.string()), json_quote(source.kind), source.weight, record.rows,
      record.documents, record.twins, files);
}

std::string set_json(const RowSet& set, std::int64_t length) {
  std::string hashes;
  for (std::int64_t row = 0; row < set.rows; ++row) {
    hashes += fmt::format("{}\"{}\"", row == 0 ? "" : ", ", row_hash(set, length, row));
  }
  return fmt::format(
      "{{\"file\": \"{}.i32\", \"rows\": {}, \"xxh3_128\": \"{}\", "
      "\"row_xxh3_128\": [{}]}}",
      set.name, set.rows, checkpoint::xxh3_128_hex(bytes_of(set)), hashes);
}

std::string record_json(const RunConfig::Calibration& calibration,
                        const std::vector<RunConfig::Source>& sources, const RowSets& made,
                        const std::string& tokenizer) {
  std::string source_list, set_list;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    source_list += (i == 0 ? "\n    " : ",\n    ") + source_json(sources[i], made.sources[i]);
  }
  for (const RowSet& set : made.sets) {
    set_list += fmt::format("{}\n    \"{}\": {}", set_list.empty() ? "" : ",", set.name,
                            set_json(set, made.length));
  }
  return fmt::format(
      "{{\n  \"version\": 1,\n  \"tokenizer\": {},\n  \"length\": {},\n  \"bos\": {},\n"
      "  \"document_separator\": {},\n  \"seed\": {},\n  \"dedupe\": {},\n  \"sources\": [{}\n  "
      "],\n"
      "  \"sets\": {{{}\n  }}\n}}\n",
      tokenizer, made.length, json_quote(calibration.bos),
      json_quote(calibration.document_separator), calibration.seed, json_quote(calibration.dedupe),
      source_list, set_list);
}

bool stands(const fs::path& file, std::string_view bytes) {
  std::error_code error;
  return fs::file_size(file, error) == bytes.size() && !error &&
         checkpoint::read_whole(file, std::ssize(bytes)) == bytes;
}

// In place of whatever has the name: a folder there is kept under another one.
void write_anew(const fs::path& file, std::string_view bytes) {
  std::error_code error;
  if (fs::is_directory(fs::symlink_status(file, error))) {
    fmt::print(stderr, "shardquant: warning: {}: damaged; kept as {}\n", file.string(),
               checkpoint::set_aside_damaged(file).filename().string());
  }
  checkpoint::write_durably(file, bytes);
}

// Rows that a run goes on from must not change under it. Spare ones may: what is made of them
// carries their hash.
void write_rows(const fs::path& file, const RowSet& set) {
  std::error_code error;
  const std::string_view bytes = bytes_of(set);
  if (stands(file, bytes)) return;
  if (set.is_spare || !fs::exists(file, error)) {
    write_anew(file, bytes);
    return;
  }
  fail(ExitCode::bad_data,
       "{}: the calibration sources, their settings or the tokenizer give other rows now than when "
       "this work folder was begun; restore them, or use a new work.dir",
       file.string());
}

// A run from a token file reads its calibration rows from there.
bool is_in_place(const RunConfig::Calibration& calibration, const RowSet& set) {
  return !calibration.tokens.empty() && set.name == "calibration_rows";
}

}  // namespace

PreparedRows prepare_rows(const RunConfig& config, const checkpoint::WorkFolder& work,
                          std::int64_t vocab_size) {
  const RunConfig::Calibration& calibration = config.calibration;
  const std::vector<RunConfig::Source> sources = sources_of(calibration);
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;
  std::string tokenizer_json = "null";
  PackingRules rules = rules_of(calibration);
  rules.vocab_size = vocab_size;
  if (needs_tokenizer(sources)) {
    const fs::path place =
        calibration.tokenizer.empty() ? config.model.path : calibration.tokenizer;
    tokenizer = tokenizer::open_tokenizer(place);
    rules.render = chat_renderer(place);
    constexpr std::int64_t kMostBytes = std::int64_t{1} << 28;
    const fs::path file = tokenizer::find_tokenizer(place);
    tokenizer_json =
        fmt::format("{{\"path\": {}, \"xxh3_128\": \"{}\"}}", json_quote(file.string()),
                    checkpoint::xxh3_128_hex(checkpoint::read_whole(file, kMostBytes)));
  }
  std::vector<RowSet> sets{{"calibration_rows", calibration.rows, {}}};
  if (calibration.measurement_rows > 0) {
    sets.push_back({"measurement_rows", calibration.measurement_rows, {}});
  }
  if (calibration.validation_rows > 0) {
    sets.push_back({"validation_rows", calibration.validation_rows, {}});
  } else if (config.evaluation.rows > 0) {
    sets.push_back({"validation_rows", config.evaluation.rows, {}, true});
  }
  const RowSets made = make_row_sets(sources, rules, tokenizer.get(), std::move(sets));
  for (const RowSet& set : made.sets) {
    if (!is_in_place(calibration, set)) write_rows(work.path() / (set.name + ".i32"), set);
  }
  write_anew(work.path() / "calibration.json",
             record_json(calibration, sources, made, tokenizer_json));
  if (!calibration.tokens.empty()) return {calibration.tokens, {}};
  PreparedRows prepared{work.calibration_rows(), {}};
  for (std::size_t i = 0; i < sources.size(); ++i) {
    prepared.notes.push_back(source_note(sources[i], made.sources[i]));
  }
  return prepared;
}

}  // namespace shardquant::calibration
