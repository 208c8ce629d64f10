#include "pipeline/calibration/document_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <system_error>

#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/tokenizer/tokenizer.hpp"

namespace shardquant::calibration {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::int64_t kChunkBytes = std::int64_t{4} << 20;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) + 1 - first);
}

// The parts of a file between separators, the file being read as far as they are wanted.
class PartReader {
 public:
  PartReader(const fs::path& path, std::string separator)
      : file_(formats::FileHandle::open_for_reading(path)),
        bytes_(file_.size()),
        separator_(std::move(separator)) {}

  /// False at the end of the file. `part` is good until the next call.
  bool next(std::string_view& part) {
    std::size_t searched = first_;
    while (true) {
      const std::size_t at =
          separator_.empty() ? std::string::npos : buffer_.find(separator_, searched);
      if (at != std::string::npos) {
        part = std::string_view(buffer_).substr(first_, at - first_);
        first_ = at + separator_.size();
        return true;
      }
      if (read_ == bytes_) break;
      read_chunk();
      // A separator may have begun within the last bytes before.
      searched = std::max(searched_end_, separator_.size()) - separator_.size();
    }
    if (ended_) return false;
    ended_ = true;
    part = std::string_view(buffer_).substr(first_);
    first_ = buffer_.size();
    return true;
  }

  FileRecord record() const { return {file_.name(), read_, hash_.hex_128()}; }

 private:
  // Appends to what is left of the buffer, which moves to its start.
  void read_chunk() {
    buffer_.erase(0, first_);
    first_ = 0;
    searched_end_ = buffer_.size();
    if (std::ssize(buffer_) > tokenizer::kMaxTextBytes) {
      fail(ExitCode::bad_data, "{}: a document of more than {} bytes", file_.name(),
           tokenizer::kMaxTextBytes);
    }
    const std::int64_t count = std::min(kChunkBytes, bytes_ - read_);
    const std::size_t before = buffer_.size();
    buffer_.resize(before + static_cast<std::size_t>(count));
    const auto fresh = std::as_writable_bytes(std::span(buffer_).subspan(before));
    file_.read_exact(read_, fresh);
    hash_.update(fresh);
    read_ += count;
  }

  formats::FileHandle file_;
  std::int64_t bytes_;
  std::string separator_;
  std::string buffer_;
  std::size_t first_ = 0;         // of what was not given out yet
  std::size_t searched_end_ = 0;  // end of the buffer before the last chunk
  std::int64_t read_ = 0;
  bool ended_ = false;
  checkpoint::Xxh3 hash_{checkpoint::Xxh3::Width::bits_128};
};

// Says which members would do.
[[noreturn]] void refuse_value(const formats::JsonNode& value, const std::string& field) {
  std::string strings;
  for (std::int64_t i = 0; i < value.size(); ++i) {
    if (!value.member(i).is_string()) continue;
    strings += (strings.empty() ? "" : ", ") + formats::json_quote(value.member_name(i));
  }
  value.refuse(fmt::format("{} is missing; {}", formats::json_quote(field),
                           strings.empty() ? "there is no text in it"
                                           : "name the field with the text: there are " + strings));
}

bool take_messages(const formats::JsonNode& messages, const DocumentRules& rules,
                   std::int64_t number, const std::function<bool(const Document&)>& take) {
  if (!rules.render) {
    messages.refuse(
        "chat messages want the model's chat template, which is not there: "
        "chat_template.jinja or chat_template in tokenizer_config.json");
  }
  const std::string text = rules.render(messages);
  return take({text, number, true});
}

bool take_value(const formats::JsonNode& value, const DocumentRules& rules, std::int64_t number,
                std::int64_t& chats, const std::function<bool(const Document&)>& take) {
  if (value.is_string()) return take({value.as_string(), number});
  const auto found = value.find(rules.field);
  if (found && found->is_string()) return take({found->as_string(), number});
  const auto messages = found && found->is_array() ? found : value.find("messages");
  if (messages) {
    ++chats;
    return take_messages(*messages, rules, number, take);
  }
  if (found) found->as_string();  // refuses, saying what it is
  refuse_value(value, rules.field);
}

FileRecord read_list(const fs::path& file, const DocumentRules& rules,
                     const std::function<bool(const Document&)>& take) {
  FileRecord record = record_file(file, SourceKind::json);
  const auto json = formats::JsonText::read(file);
  const formats::JsonNode list = json.root();
  if (!list.is_array()) list.refuse("wanted is a list of texts or of objects");
  for (std::int64_t i = 0; i < list.size(); ++i) {
    if (!take_value(list.at(i), rules, i + 1, record.chats, take)) break;
  }
  return record;
}

}  // namespace

SourceKind source_kind(std::string_view word, const fs::path& file) {
  if (word == "text") return SourceKind::text;
  if (word == "jsonl") return SourceKind::jsonl;
  if (word == "json") return SourceKind::json;
  if (word == "tokens") return SourceKind::tokens;
  if (word == "safetensors") return SourceKind::safetensors;
  return recognize_file(file);
}

bool is_text(SourceKind kind) {
  return kind != SourceKind::tokens && kind != SourceKind::safetensors;
}

std::vector<fs::path> source_files(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return {path};
  std::vector<fs::path> files;
  fs::directory_iterator entries(path, error);
  if (error)
    fail(ExitCode::no_permission, "{}: cannot be listed: {}", path.string(), error.message());
  for (const fs::directory_entry& entry : entries) {
    const bool is_hidden = entry.path().filename().string().starts_with('.');
    if (!is_hidden && entry.is_regular_file(error)) files.push_back(entry.path());
  }
  if (files.empty()) fail(ExitCode::no_input, "{}: a folder without files", path.string());
  std::sort(files.begin(), files.end());
  return files;
}

FileRecord record_file(const fs::path& file, SourceKind kind) {
  PartReader reader(file, "\n");
  std::string_view part;
  while (reader.next(part)) {
  }
  FileRecord record = reader.record();
  record.kind = kind;
  return record;
}

FileRecord read_documents(const fs::path& file, const DocumentRules& rules,
                          const std::function<bool(const Document&)>& take) {
  if (rules.kind == SourceKind::json) return read_list(file, rules, take);
  const bool is_plain = rules.kind == SourceKind::text;
  PartReader reader(file, is_plain ? rules.separator : "\n");
  std::int64_t documents = 0;
  std::int64_t chats = 0;
  std::string_view part;
  for (std::int64_t line = 1; reader.next(part); ++line) {
    if (line == 1 && part.starts_with(kByteOrderMark)) part.remove_prefix(kByteOrderMark.size());
    const std::string_view content = trimmed(part);
    if (content.empty()) continue;
    ++documents;
    if (is_plain) {
      if (!take({content, documents})) break;
      continue;
    }
    const auto json =
        formats::JsonText::parse(content, fmt::format("{}: line {}", file.string(), line));
    if (!take_value(json.root(), rules, documents, chats, take)) break;
  }
  FileRecord record = reader.record();
  record.kind = rules.kind;
  record.chats = chats;
  return record;
}

}  // namespace shardquant::calibration
