#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shardquant::tokenizer {

/// Turns text into token ids and back. Encoding fills a cache: one object serves one thread.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Largest id plus one, added tokens included.
  virtual std::int64_t vocab_size() const = 0;

  /// Appends the ids of `text` to `ids`; neither prefix() nor suffix() is added. Special tokens
  /// that a tokenizer.json names are found in the text, as Hugging Face's library finds them.
  /// @throws Failure(bad_data): not UTF-8, longer than kMaxTextBytes, or a pattern of the file
  /// takes too long on it
  virtual void encode(std::string_view text, std::vector<std::int32_t>& ids) = 0;

  /// The text of `ids`, special tokens left out. Bytes that form no UTF-8 stay as they are with
  /// a byte-level vocabulary. @throws Failure(bad_data) for an id without a token
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;

  /// A token as the vocabulary writes it, for showing. Empty for an id without a token.
  virtual std::string piece(std::int32_t id) const = 0;
  /// The id of a piece so written. A special token is found by its content.
  virtual std::optional<std::int32_t> id_of(std::string_view piece) const = 0;

  /// Ids that the post-processing of the file puts before and after a text.
  virtual std::span<const std::int32_t> prefix() const = 0;
  virtual std::span<const std::int32_t> suffix() const = 0;

  /// Whether BOS comes before a text where nothing else is asked for: as `add_bos_token` of
  /// tokenizer_config.json says, else where the post-processing of the file puts it there.
  virtual bool adds_bos() const = 0;
  virtual std::optional<std::int32_t> bos() const = 0;
  virtual std::optional<std::int32_t> eos() const = 0;
};

/// Longest text that is encoded in one call.
inline constexpr std::int64_t kMaxTextBytes = std::int64_t{1} << 30;

/// `path` itself, or the tokenizer in it where it is a folder: tokenizer.json, else
/// tokenizer.model.
/// @throws Failure(no_input) for a folder with neither
std::filesystem::path find_tokenizer(const std::filesystem::path& path);

/// Opens the tokenizer that find_tokenizer finds. In a folder, tokenizer_config.json names BOS and
/// EOS where the tokenizer itself does not, and says whether BOS is added.
/// @throws Failure: no_input; bad_data naming file, field and value of what is malformed or not
/// supported
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path);

}  // namespace shardquant::tokenizer
