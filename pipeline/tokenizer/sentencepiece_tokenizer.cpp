#include "pipeline/tokenizer/sentencepiece_tokenizer.hpp"

#include <sentencepiece_processor.h>

#include "pipeline/failure.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/tokenizer/require_encodable.hpp"
#include "pipeline/tokenizer/sentencepiece_spec.hpp"
#include "pipeline/tokenizer/text_map.hpp"

namespace shardquant::tokenizer {

namespace {

constexpr std::string_view kBlank = "\xE2\x96\x81";  // U+2581, how pieces write a blank
constexpr std::size_t kMostCachedBytes = 48;         // of one word
constexpr std::size_t kMostCached = std::size_t{1} << 17;
constexpr std::int64_t kMostModelBytes = std::int64_t{64} << 20;

void require_ok(const sentencepiece::util::Status& status, const std::string& name) {
  if (!status.ok()) fail(ExitCode::bad_data, "{}: {}", name, status.ToString());
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(const std::string& bytes, std::string name, std::optional<bool> adds_bos)
      : name_(std::move(name)) {
    require_ok(processor_.LoadFromSerializedProto(bytes), name_);
    if (processor_.GetPieceSize() <= 0) fail(ExitCode::bad_data, "{}: no pieces", name_);
    if (processor_.bos_id() >= 0) prefix_.push_back(processor_.bos_id());
    adds_bos_ = processor_.bos_id() >= 0 && adds_bos.value_or(true);
    cuts_words_ = keeps_blanks(read_sentencepiece_spec(bytes)) && no_piece_spans_words();
  }

  std::int64_t vocab_size() const override { return processor_.GetPieceSize(); }

  void encode(std::string_view text, std::vector<std::int32_t>& ids) override {
    require_encodable(text);
    if (!cuts_words_) {
      encode_word(text, ids);
      return;
    }
    // The library is slow on long texts. Where a blank follows a word, the text may be cut: what
    // comes after the blank gets it back as the dummy prefix.
    std::size_t first = 0;
    for (std::size_t at = text.find(' ', 1); at < text.size() - 1; at = text.find(' ', at + 1)) {
      const std::string_view before = text.substr(first, at - first);
      if (before.empty() || before.ends_with(' ') || before.ends_with(kBlank)) continue;
      encode_word(before, ids);
      first = at + 1;
    }
    encode_word(text.substr(first), ids);
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    for (const std::int32_t id : ids) {
      if (id < 0 || id >= vocab_size()) {
        fail(ExitCode::bad_data, "{}: there is no token {}", name_, id);
      }
    }
    std::string text;
    require_ok(processor_.Decode(std::vector<int>(ids.begin(), ids.end()), &text), name_);
    return text;
  }

  std::string piece(std::int32_t id) const override {
    return id >= 0 && id < vocab_size() ? processor_.IdToPiece(id) : "";
  }

  std::optional<std::int32_t> id_of(std::string_view piece) const override {
    const int id = processor_.PieceToId({piece.data(), piece.size()});
    if (id < 0 || id >= vocab_size() || processor_.IdToPiece(id) != piece) return std::nullopt;
    return id;
  }

  std::span<const std::int32_t> prefix() const override { return prefix_; }
  std::span<const std::int32_t> suffix() const override { return {}; }
  bool adds_bos() const override { return adds_bos_; }
  std::optional<std::int32_t> bos() const override { return known(processor_.bos_id()); }
  std::optional<std::int32_t> eos() const override { return known(processor_.eos_id()); }

 private:
  static bool keeps_blanks(const SentencePieceSpec& spec) {
    return spec.is_bpe && spec.is_identity && spec.add_dummy_prefix &&
           !spec.remove_extra_whitespaces && spec.escape_whitespaces && !spec.whitespace_as_suffix;
  }

  // Whether blanks are only at the start of pieces, so that none holds the end of one word and the
  // start of the next.
  bool no_piece_spans_words() const {
    if (!id_of(kBlank)) return false;
    for (int id = 0; id < processor_.GetPieceSize(); ++id) {
      const std::string& text = processor_.IdToPiece(id);
      std::size_t at = 0;
      while (text.compare(at, kBlank.size(), kBlank) == 0) at += kBlank.size();
      if (text.find(kBlank, at) != std::string::npos) return false;
    }
    return true;
  }

  void encode_word(std::string_view word, std::vector<std::int32_t>& ids) {
    const bool caches = word.size() <= kMostCachedBytes;
    if (caches) {
      if (const auto known = cache_.find(word); known != cache_.end()) {
        ids.insert(ids.end(), known->second.begin(), known->second.end());
        return;
      }
    }
    std::vector<int> found;
    require_ok(processor_.Encode({word.data(), word.size()}, &found), name_);
    ids.insert(ids.end(), found.begin(), found.end());
    if (!caches) return;
    if (cache_.size() >= kMostCached) cache_.clear();
    cache_.emplace(word, std::move(found));
  }

  static std::optional<std::int32_t> known(int id) {
    return id < 0 ? std::nullopt : std::optional<std::int32_t>(id);
  }

  std::string name_;
  sentencepiece::SentencePieceProcessor processor_;
  std::vector<std::int32_t> prefix_;
  bool adds_bos_ = false;
  bool cuts_words_ = false;
  TextMap<std::vector<int>> cache_;
};

}  // namespace

std::unique_ptr<Tokenizer> read_sentencepiece(const std::filesystem::path& file,
                                              std::optional<bool> adds_bos) {
  return std::make_unique<SentencePieceTokenizer>(formats::read_text_file(file, kMostModelBytes),
                                                  file.string(), adds_bos);
}

}  // namespace shardquant::tokenizer
