#include "pipeline/checkpoint/run_fingerprint.hpp"

#include <algorithm>
#include <iterator>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::checkpoint {

namespace {

constexpr std::string_view kFirstLine = "shardquant run fingerprint 1";
constexpr std::string_view kHashName = "hash";
constexpr std::string_view kSeparator = " = ";
constexpr std::int64_t kLongestFile = std::int64_t{1} << 20;

bool is_field_name(std::string_view name) {
  if (name.empty() || name.size() > 100 || name == kHashName) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '\\') {
      out += "\\\\";
    } else if (code < 0x20 || code == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", code);
    } else {
      out += c;
    }
  }
  return out;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// False where `text` is not what escaped() makes.
bool unescape(std::string_view text, std::string& value) {
  value.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      value += text[i];
    } else if (text.substr(i, 2) == "\\\\") {
      value += '\\';
      i += 1;
    } else if (text.substr(i, 2) == "\\x" && i + 3 < text.size() && hex_value(text[i + 2]) >= 0 &&
               hex_value(text[i + 3]) >= 0) {
      value += static_cast<char>(hex_value(text[i + 2]) * 16 + hex_value(text[i + 3]));
      i += 3;
    } else {
      return false;
    }
  }
  return escaped(value) == text;
}

[[noreturn]] void refuse(const std::string& file, std::int64_t line, std::string_view reason) {
  fail(ExitCode::bad_data,
       "{}:{}: {}; the file is damaged or not a run fingerprint. Use another work folder, or move "
       "this one away to begin again",
       file, line, reason);
}

}  // namespace

void RunFingerprint::add(std::string name, std::string value) {
  if (!is_field_name(name)) {
    fail(ExitCode::internal, "fingerprint field '{}': not a usable name", escaped(name));
  }
  for (const auto& field : fields_) {
    if (field.first == name) fail(ExitCode::internal, "fingerprint field '{}' added twice", name);
  }
  fields_.emplace_back(std::move(name), std::move(value));
}

RunFingerprint RunFingerprint::part(const std::vector<std::string_view>& beginnings) const {
  RunFingerprint out;
  for (const auto& field : fields_) {
    if (std::any_of(beginnings.begin(), beginnings.end(), [&](std::string_view beginning) {
          return field.first.starts_with(beginning);
        })) {
      out.fields_.push_back(field);
    }
  }
  return out;
}

std::string RunFingerprint::value(std::string_view name) const {
  for (const auto& field : fields_) {
    if (field.first == name) return field.second;
  }
  return {};
}

std::string RunFingerprint::field_lines() const {
  std::string out;
  for (const auto& [name, value] : fields_) {
    fmt::format_to(std::back_inserter(out), "{}{}{}\n", name, kSeparator, escaped(value));
  }
  return out;
}

std::string RunFingerprint::text() const {
  return fmt::format("{}\n{}{}{}{}\n", kFirstLine, field_lines(), kHashName, kSeparator, hex());
}

std::string RunFingerprint::hex() const {
  return xxh3_128_hex(field_lines());
}

std::vector<RunFingerprint::Difference> RunFingerprint::differences(
    const RunFingerprint& theirs) const {
  static const std::string kAbsent = "(absent)";
  const auto value_in = [](const RunFingerprint& in, const std::string& name) -> const auto& {
    for (const auto& field : in.fields_) {
      if (field.first == name) return field.second;
    }
    return kAbsent;
  };
  std::vector<Difference> out;
  for (const auto& [name, value] : fields_) {
    const std::string& other = value_in(theirs, name);
    if (other != value || &other == &kAbsent) out.push_back({name, value, other});
  }
  for (const auto& [name, value] : theirs.fields_) {
    if (&value_in(*this, name) == &kAbsent) out.push_back({name, kAbsent, value});
  }
  return out;
}

RunFingerprint RunFingerprint::parse(std::string_view text, const std::string& file) {
  RunFingerprint out;
  for (std::int64_t line = 1;; ++line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) refuse(file, line, "ends without the line of its hash");
    const std::string_view content = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line == 1) {
      if (content != kFirstLine) {
        refuse(file, line, fmt::format("does not begin with \"{}\"", kFirstLine));
      }
      continue;
    }
    const std::size_t separator = content.find(kSeparator);
    if (separator == std::string_view::npos) refuse(file, line, "is not \"name = value\"");
    const std::string_view name = content.substr(0, separator);
    const std::string_view value = content.substr(separator + kSeparator.size());
    if (name == kHashName) {
      if (value != out.hex()) refuse(file, line, "the hash does not fit the fields");
      if (!text.empty()) refuse(file, line + 1, "text after the hash");
      return out;
    }
    std::string plain;
    const bool repeated = std::any_of(out.fields_.begin(), out.fields_.end(),
                                      [&](const auto& field) { return field.first == name; });
    if (!is_field_name(name) || repeated || !unescape(value, plain)) {
      refuse(file, line, "not a field, or one named twice");
    }
    out.fields_.emplace_back(name, std::move(plain));
  }
}

void store_fingerprint(const std::filesystem::path& path, const RunFingerprint& fingerprint) {
  write_durably(path, fingerprint.text());
}

RunFingerprint load_fingerprint(const std::filesystem::path& path) {
  return RunFingerprint::parse(read_whole(path, kLongestFile), path.string());
}

void require_match(const std::filesystem::path& path, const RunFingerprint& ours,
                   const RunFingerprint& theirs, std::string_view accepted_field) {
  std::string list;
  for (const auto& [field, our_value, their_value] : ours.differences(theirs)) {
    if (field == accepted_field) continue;
    fmt::format_to(std::back_inserter(list), "\n  {}: \"{}\" in this run, \"{}\" in the folder",
                   field, escaped(our_value), escaped(their_value));
  }
  if (list.empty()) return;
  fail(ExitCode::bad_data,
       "{}: the work folder belongs to another run; different are:{}\nName another work folder "
       "(work.dir), or go back to the old settings{}",
       path.string(), list,
       list.find("\n  build: ") != std::string::npos
           ? "; another build of the program is accepted with --accept-build-change"
           : "");
}

FolderMatch match_or_store_fingerprint(const std::filesystem::path& path,
                                       const RunFingerprint& fingerprint,
                                       std::string_view accepted_field) {
  FolderMatch match{fingerprint, true, {}};
  RunFingerprint stored;
  try {
    stored = load_fingerprint(path);
  } catch (const Failure& failure) {
    if (failure.code() == ExitCode::bad_data) {
      match.set_aside = set_aside_damaged(path);
    } else if (failure.code() != ExitCode::no_input) {
      throw;
    }
    store_fingerprint(path, fingerprint);
    return match;
  }
  require_match(path, fingerprint, stored, accepted_field);
  return {stored, false, {}};
}

}  // namespace shardquant::checkpoint
