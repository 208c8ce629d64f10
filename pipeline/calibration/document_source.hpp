#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace shardquant::calibration {

enum class SourceKind { text, jsonl, tokens, safetensors };

/// "text", "jsonl", ... @pre one of those or "auto", for which the name of the file decides:
/// .jsonl and .ndjson, .i32, .safetensors; anything else is text
SourceKind source_kind(std::string_view word, const std::filesystem::path& file);

/// The file itself, or the files of a folder in the order of their names: not those inside folders
/// in it, nor those whose name begins with '.'. @throws Failure: no_input (missing, or an empty
/// folder), no_permission
std::vector<std::filesystem::path> source_files(const std::filesystem::path& path);

/// How a file is cut into documents.
struct DocumentRules {
  SourceKind kind = SourceKind::text;  ///< text or jsonl
  std::string separator;               ///< of a text file; empty: the file is one document
  std::string field = "text";          ///< of a line of JSON
};

/// What was read of a file.
struct FileRecord {
  std::filesystem::path path;
  std::int64_t bytes = 0;
  std::string hash;  ///< XXH3-128 of those bytes, hexadecimal
};

/// Calls `take` with every document of a file in order, until it returns false. White space (of
/// ASCII) at both ends of a text document is left out, and so are documents of nothing else; the
/// text of a JSON line is taken as it is. Files are read in pieces.
/// @throws Failure: as opening a file; bad_data naming file and line for what is no JSON object
/// with that field, and for a document beyond tokenizer::kMaxTextBytes
FileRecord read_documents(const std::filesystem::path& file, const DocumentRules& rules,
                          const std::function<bool(std::string_view)>& take);

/// What read_documents says of a file that is read whole.
FileRecord record_file(const std::filesystem::path& file);

}  // namespace shardquant::calibration
