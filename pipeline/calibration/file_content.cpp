#include "pipeline/calibration/file_content.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <string>

#include "pipeline/failure.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::calibration {

namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

constexpr std::int64_t kLookBytes = 1 << 16;
constexpr std::int64_t kMostLineBytes = std::int64_t{1} << 30;

// A kind of file that is no text: what it begins with and the command that makes text or tokens of
// it, {0} being the file.
struct Binary {
  std::string_view magic;
  std::string_view what;
  std::string_view command;
};

constexpr auto kArrowCommand =
    "python3 -c \"import datasets; datasets.Dataset.from_file('{0}').to_json('{0}.jsonl')\""sv;

constexpr std::array kBinaries = {
    Binary{"PAR1", "a Parquet table",
           "python3 -c \"import pandas; pandas.read_parquet('{0}').to_json('{0}.jsonl', "
           "orient='records', lines=True)\""},
    Binary{"ARROW1", "an Arrow table", kArrowCommand},
    Binary{"\xff\xff\xff\xff", "an Arrow table", kArrowCommand},
    Binary{"\x93NUMPY", "a NumPy array",
           "python3 -c \"import numpy; numpy.load('{0}').astype('<i4').tofile('{0}.i32')\""},
    Binary{"\x1f\x8b", "packed by gzip", "gzip -dk '{0}'"},
    Binary{"\x28\xb5\x2f\xfd", "packed by zstd", "zstd -dk '{0}'"},
    Binary{"BZh", "packed by bzip2", "bzip2 -dk '{0}'"},
    Binary{"\xfd"
           "7zXZ",
           "packed by xz", "xz -dk '{0}'"},
    Binary{"PK\x03\x04", "a zip archive", "unzip '{0}'"},
    Binary{"%PDF", "a PDF document", "pdftotext '{0}'"},
    Binary{"\xff\xfe", "text in UTF-16", "iconv -f UTF-16 -t UTF-8 '{0}' > '{0}.txt'"},
    Binary{"\xfe\xff", "text in UTF-16", "iconv -f UTF-16 -t UTF-8 '{0}' > '{0}.txt'"},
    Binary{"version https://git-lfs", "a pointer of Git LFS in place of the file", "git lfs pull"},
};

constexpr auto kTableCommand =
    "python3 -c \"import pandas; pandas.read_csv('{0}'{1}).to_json('{0}.jsonl', "
    "orient='records', lines=True)\""sv;
constexpr auto kIdListCommand =
    "python3 -c \"import json, itertools, numpy; "
    "numpy.array([*itertools.chain(*json.load(open('{0}')))], '<i4').tofile('{0}.i32')\""sv;
constexpr auto kAsText = "; to read it as text all the same, say so: kind text"sv;

[[noreturn]] void refuse(const fs::path& file, std::string_view what, std::string_view command,
                         std::string_view more = {}) {
  fail(ExitCode::bad_data, "{}: {}, not text, JSON or token ids; convert it: {}{}", file.string(),
       what, command, more);
}

std::string lower_extension(const fs::path& file) {
  std::string extension = file.extension();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension;
}

std::string first_bytes(const formats::FileHandle& file, std::int64_t most) {
  std::string text(static_cast<std::size_t>(std::min(most, file.size())), '\0');
  file.read_exact(0, std::as_writable_bytes(std::span(text)));
  return text;
}

std::string_view without_space(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  return first == std::string_view::npos ? std::string_view{} : text.substr(first);
}

// The length of a header, as safetensors files begin with it, and the header.
bool is_safetensors(std::string_view begin, std::int64_t bytes) {
  std::uint64_t header = 0;
  if (begin.size() < sizeof header + 1) return false;
  std::memcpy(&header, begin.data(), sizeof header);
  return begin[sizeof header] == '{' && header <= static_cast<std::uint64_t>(bytes) - sizeof header;
}

// A first line of two or more plain names with commas or tabs between, one of them a usual name of
// the column with the text.
char column_separator(std::string_view begin) {
  std::string line(begin.substr(0, begin.find('\n')));
  while (!line.empty() && line.back() == '\r') line.pop_back();
  for (const char separator : {',', '\t'}) {
    bool has_text = false;
    bool has_odd = line.find(separator) == std::string::npos;
    std::string_view rest = line;
    while (!rest.empty() && !has_odd) {
      const std::size_t end = std::min(rest.find(separator), rest.size());
      std::string_view name = rest.substr(0, end);
      if (name.size() > 2 && name.front() == '"') name = name.substr(1, name.size() - 2);
      has_text = has_text || name == "text" || name == "content" || name == "prompt";
      has_odd = !std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
      });
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (has_text && !has_odd) return separator;
  }
  return '\0';
}

void refuse_table(const fs::path& file, const std::string& extension, std::string_view begin) {
  char separator = column_separator(begin);
  if (extension == ".csv") separator = ',';
  if (extension == ".tsv") separator = '\t';
  if (separator == '\0') return;
  const std::string option = separator == '\t' ? ", sep='\\t'" : "";
  refuse(file, separator == '\t' ? "a table with tabs between its columns" : "a CSV table",
         fmt::format(kTableCommand, file.string(), option), kAsText);
}

// The end of the first line decides between an object on every line and one over many.
bool first_line_is_whole(const formats::FileHandle& file, std::string_view begin) {
  std::string line(begin.substr(0, begin.find('\n')));
  if (line.size() == begin.size() && std::ssize(begin) < file.size()) {
    const std::string whole = first_bytes(file, kMostLineBytes);
    line = whole.substr(whole.size() - without_space(whole).size());
    line.resize(std::min(line.find('\n'), line.size()));
  }
  const std::size_t last = line.find_last_not_of(" \t\r");
  return last != std::string::npos && line[last] == '}';
}

[[noreturn]] void refuse_object(const fs::path& file) {
  std::string command = fmt::format("jq -c . '{0}' > '{0}.jsonl'", file.string());
  try {
    const auto json = formats::JsonText::read(file);
    for (std::int64_t i = 0; i < json.root().size(); ++i) {
      if (!json.root().member(i).is_array()) continue;
      command = fmt::format("jq -c '.[{1}][]' '{0}' > '{0}.jsonl'", file.string(),
                            formats::json_quote(json.root().member_name(i)));
      break;
    }
  } catch (const Failure&) {
    // Several objects one after the other, most likely: what jq makes lines of.
  }
  refuse(file, "a JSON object over several lines", command, kAsText);
}

bool begins_json_list(std::string_view text) {
  if (!text.starts_with('[')) return false;
  const std::string_view inside = without_space(text.substr(1));
  return inside.starts_with('{') || inside.starts_with('"') || inside.starts_with(']');
}

bool begins_id_lists(std::string_view text) {
  if (!text.starts_with('[')) return false;
  std::string_view inside = without_space(text.substr(1));
  if (!inside.starts_with('[')) return false;
  inside = without_space(inside.substr(1));
  return !inside.empty() && std::isdigit(static_cast<unsigned char>(inside.front())) != 0;
}

bool begins_json_object(std::string_view text) {
  return text.starts_with('{') && without_space(text.substr(1)).starts_with('"');
}

}  // namespace

SourceKind recognize_file(const fs::path& path) {
  const std::string extension = lower_extension(path);
  if (extension == ".i32") return SourceKind::tokens;
  const formats::FileHandle file = formats::FileHandle::open_for_reading(path);
  const std::string begin = first_bytes(file, kLookBytes);
  if (extension == ".safetensors" || is_safetensors(begin, file.size())) {
    return SourceKind::safetensors;
  }
  for (const Binary& binary : kBinaries) {
    if (!begin.starts_with(binary.magic)) continue;
    refuse(path, binary.what, fmt::format(fmt::runtime(binary.command), path.string()));
  }
  if (begin.find('\0') != std::string::npos) {
    fail(ExitCode::bad_data,
         "{}: binary data, not text; a stream of int32 token ids wants the name ending .i32, or "
         "kind tokens",
         path.string());
  }
  const std::string_view text = without_space(begin);
  if (begins_json_list(text)) return SourceKind::json;
  if (begins_id_lists(text)) {
    refuse(path, "a JSON list of token ids", fmt::format(kIdListCommand, path.string()), kAsText);
  }
  if (extension == ".jsonl" || extension == ".ndjson") return SourceKind::jsonl;
  if (begins_json_object(text)) {
    if (first_line_is_whole(file, text)) return SourceKind::jsonl;
    refuse_object(path);
  }
  refuse_table(path, extension, begin);
  return SourceKind::text;
}

std::string_view kind_text(SourceKind kind) {
  switch (kind) {
    case SourceKind::text:
      return "text";
    case SourceKind::jsonl:
      return "JSON lines";
    case SourceKind::json:
      return "a JSON list";
    case SourceKind::tokens:
      return "token ids";
    case SourceKind::safetensors:
      return "a tensor of token ids";
  }
  return "";
}

}  // namespace shardquant::calibration
