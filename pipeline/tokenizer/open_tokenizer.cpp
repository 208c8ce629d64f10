#include <system_error>

#include "pipeline/failure.hpp"
#include "pipeline/tokenizer/sentencepiece_tokenizer.hpp"
#include "pipeline/tokenizer/tokenizer.hpp"
#include "pipeline/tokenizer/tokenizer_json.hpp"

namespace shardquant::tokenizer {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostJsonBytes = std::int64_t{64} << 20;

// "<s>", or {"content": "<s>", ...}
std::string token_content(const formats::JsonNode& config, std::string_view name) {
  const auto node = config.find(name);
  if (!node) return "";
  return node->is_object() ? node->string("content") : node->as_string();
}

SpecialNames names_beside(const fs::path& folder) {
  const fs::path file = folder / "tokenizer_config.json";
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  const auto json = formats::JsonText::read(file, {.bytes = kMostJsonBytes});
  SpecialNames names{token_content(json.root(), "bos_token"),
                     token_content(json.root(), "eos_token"), std::nullopt};
  if (const auto adds = json.root().find("add_bos_token")) names.adds_bos = adds->as_bool();
  return names;
}

std::unique_ptr<Tokenizer> open_file(const fs::path& file, const SpecialNames& names) {
  if (file.extension() == ".model") return read_sentencepiece(file, names.adds_bos);
  return make_json_tokenizer(formats::JsonText::read(file, {.bytes = kMostJsonBytes}), names);
}

}  // namespace

fs::path find_tokenizer(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return path;
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    if (fs::exists(path / name, error)) return path / name;
  }
  fail(ExitCode::no_input, "{}: neither tokenizer.json nor tokenizer.model in it", path.string());
}

std::unique_ptr<Tokenizer> open_tokenizer(const fs::path& path) {
  const fs::path file = find_tokenizer(path);
  return open_file(file, file == path ? SpecialNames{} : names_beside(path));
}

}  // namespace shardquant::tokenizer
