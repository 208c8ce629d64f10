#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/calibration/file_content.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::calibration {

/// "text", "jsonl", "json", "tokens", "safetensors", or "auto", for which recognize_file decides.
/// @throws Failure as recognize_file
SourceKind source_kind(std::string_view word, const std::filesystem::path& file);

/// Whether a kind has documents to be encoded, not token ids.
bool is_text(SourceKind kind);

/// The file itself, or the files of a folder in the order of their names: not those inside folders
/// in it, nor those whose name begins with '.'. @throws Failure: no_input (missing, or an empty
/// folder), no_permission
std::vector<std::filesystem::path> source_files(const std::filesystem::path& path);

/// Makes a text of a list of chat messages. Empty: there is nothing that could.
using RenderMessages = std::function<std::string(const formats::JsonNode& messages)>;

/// How a file is cut into documents.
struct DocumentRules {
  SourceKind kind = SourceKind::text;  ///< text, jsonl or json
  std::string separator;               ///< of a text file; empty: the file is one document
  std::string field = "text";          ///< of a JSON object
  RenderMessages render = {};
};

/// One document of a file.
struct Document {
  std::string_view text;
  std::int64_t number = 0;   ///< in its file, from 1 on
  bool is_rendered = false;  ///< of chat messages: the special tokens it wants are in the text
};

/// What was read of a file.
struct FileRecord {
  std::filesystem::path path;
  std::int64_t bytes = 0;
  std::string hash;                    ///< XXH3-128 of those bytes, hexadecimal
  SourceKind kind = SourceKind::text;  ///< what it was taken for
  std::int64_t chats = 0;              ///< documents of messages
};

/// Calls `take` with every document of a file in order, until it returns false. White space (of
/// ASCII) at both ends of a text document is left out, and so are documents of nothing else, and a
/// byte order mark. Of JSON, a string is a document; of an object it is the string in `field`, or
/// where `field` is missing or a list, the list of messages in `messages` or `field` as `render`
/// makes text of it. Text files and JSON lines are read in pieces.
/// @throws Failure: as opening a file; bad_data naming file and line for what is none of these, and
/// for a document beyond tokenizer::kMaxTextBytes
FileRecord read_documents(const std::filesystem::path& file, const DocumentRules& rules,
                          const std::function<bool(const Document&)>& take);

/// What read_documents says of a file that is read whole.
FileRecord record_file(const std::filesystem::path& file, SourceKind kind);

}  // namespace shardquant::calibration
