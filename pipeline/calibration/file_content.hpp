#pragma once

#include <filesystem>
#include <string_view>

namespace shardquant::calibration {

/// What a file of calibration or evaluation text is.
enum class SourceKind {
  text,         ///< documents with a separator between them
  jsonl,        ///< a JSON value on every line
  json,         ///< one JSON list
  tokens,       ///< a stream of int32
  safetensors,  ///< a tensor of token ids
};

/// What a file holds, by its first bytes. The name decides only where bytes cannot: .i32 are
/// tokens, .csv and .tsv tables, .jsonl and .ndjson JSON lines whatever is on them; upper case is
/// the same. Depends on nothing but name and bytes.
/// @throws Failure: as opening a file; bad_data for a table, an archive or a binary, naming what it
/// is and the command or setting that helps
SourceKind recognize_file(const std::filesystem::path& file);

/// "text", "JSON lines", "a JSON list", "token ids", "a tensor of token ids"
std::string_view kind_text(SourceKind kind);

}  // namespace shardquant::calibration
