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

}  // namespace

SourceKind source_kind(std::string_view word, const fs::path& file) {
  if (word == "text") return SourceKind::text;
  if (word == "jsonl") return SourceKind::jsonl;
  if (word == "tokens") return SourceKind::tokens;
  if (word == "safetensors") return SourceKind::safetensors;
  const std::string extension = file.extension();
  if (extension == ".jsonl" || extension == ".ndjson") return SourceKind::jsonl;
  if (extension == ".i32") return SourceKind::tokens;
  if (extension == ".safetensors") return SourceKind::safetensors;
  return SourceKind::text;
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

FileRecord record_file(const fs::path& file) {
  const auto ignore = [](std::string_view) { return true; };
  return read_documents(file, {SourceKind::text, "\n", ""}, ignore);
}

FileRecord read_documents(const fs::path& file, const DocumentRules& rules,
                          const std::function<bool(std::string_view)>& take) {
  const bool is_text = rules.kind == SourceKind::text;
  PartReader reader(file, is_text ? rules.separator : "\n");
  std::string_view part;
  for (std::int64_t line = 1; reader.next(part); ++line) {
    const std::string_view content = trimmed(part);
    if (content.empty()) continue;
    if (is_text) {
      if (!take(content)) break;
      continue;
    }
    const auto json =
        formats::JsonText::parse(content, fmt::format("{}: line {}", file.string(), line));
    if (!take(json.root().string(rules.field))) break;
  }
  return reader.record();
}

}  // namespace shardquant::calibration
