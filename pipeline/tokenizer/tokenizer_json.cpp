#include "pipeline/tokenizer/tokenizer_json.hpp"

#include <algorithm>
#include <deque>

#include "pipeline/failure.hpp"
#include "pipeline/tokenizer/added_tokens.hpp"
#include "pipeline/tokenizer/bpe_model.hpp"
#include "pipeline/tokenizer/require_encodable.hpp"
#include "pipeline/tokenizer/split_text.hpp"
#include "pipeline/tokenizer/text_normalizer.hpp"
#include "pipeline/tokenizer/token_decoder.hpp"

namespace shardquant::tokenizer {

namespace {

constexpr std::int64_t kMostAdded = 1 << 16;
constexpr std::int64_t kMostSteps = 64;

class JsonTokenizer final : public Tokenizer {
 public:
  JsonTokenizer(const formats::JsonText& json, const SpecialNames& names) : name_(json.file()) {
    const formats::JsonNode root = json.root();
    if (const auto node = root.find("normalizer")) normalizer_ = TextNormalizer(*node, name_);
    if (const auto node = root.find("pre_tokenizer")) splitter_ = TextSplitter(*node, name_);
    const auto unit = splitter_.is_byte_level() ? SymbolUnit::byte : SymbolUnit::character;
    model_.emplace(root.at("model"), unit);
    id_end_ = model_->id_end();
    if (const auto node = root.find("added_tokens")) read_added(*node);
    if (const auto node = root.find("post_processor")) read_post_processor(*node);
    if (const auto node = root.find("decoder")) decoder_ = TokenDecoder(*node);
    if (!names.bos.empty()) bos_ = id_of(names.bos);
    if (!names.eos.empty()) eos_ = id_of(names.eos);
    if (!bos_ && !prefix_.empty()) bos_ = prefix_.front();
    if (!eos_ && !suffix_.empty()) eos_ = suffix_.back();
    const bool is_put = !prefix_.empty() && bos_ == prefix_.front();
    adds_bos_ = bos_ && names.adds_bos.value_or(is_put);
  }

  std::int64_t vocab_size() const override { return id_end_; }

  void encode(std::string_view text, std::vector<std::int32_t>& ids) override {
    require_encodable(text);
    std::vector<TokenOrText> parts;
    raw_tokens_.split(text, parts);
    for (const TokenOrText& part : parts) {
      if (part.id >= 0) {
        ids.push_back(part.id);
      } else {
        encode_section(text.substr(part.first, part.end - part.first), part.first == 0, ids);
      }
    }
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::vector<std::string> pieces;
    for (const std::int32_t id : ids) {
      std::string text = piece(id);
      if (text.empty()) fail(ExitCode::bad_data, "{}: there is no token {}", name_, id);
      const auto added = added_.find(id);
      if (added == added_.end() || !added->second.special) pieces.push_back(std::move(text));
    }
    return decoder_.decode(std::move(pieces));
  }

  std::string piece(std::int32_t id) const override {
    if (const auto added = added_.find(id); added != added_.end()) return added->second.content;
    return id >= 0 && id < model_->id_end() ? model_->piece(id) : "";
  }

  std::optional<std::int32_t> id_of(std::string_view piece) const override {
    if (const auto added = added_ids_.find(piece); added != added_ids_.end()) return added->second;
    return model_->find(piece);
  }

  std::span<const std::int32_t> prefix() const override { return prefix_; }
  std::span<const std::int32_t> suffix() const override { return suffix_; }
  bool adds_bos() const override { return adds_bos_; }
  std::optional<std::int32_t> bos() const override { return bos_; }
  std::optional<std::int32_t> eos() const override { return eos_; }

 private:
  // A part without tokens of raw text: normalized, searched for tokens of normalized text, cut.
  void encode_section(std::string_view text, bool at_start, std::vector<std::int32_t>& ids) {
    std::string normalized(text);
    normalizer_.apply(normalized);
    if (normalized_tokens_.empty()) {
      encode_plain(normalized, at_start, ids);
      return;
    }
    std::vector<TokenOrText> parts;
    normalized_tokens_.split(normalized, parts);
    for (const TokenOrText& part : parts) {
      if (part.id >= 0) {
        ids.push_back(part.id);
        continue;
      }
      std::string between = normalized.substr(part.first, part.end - part.first);
      encode_plain(between, at_start && part.first == 0, ids);
    }
  }

  void encode_plain(std::string& text, bool at_start, std::vector<std::int32_t>& ids) {
    splitter_.split(text, at_start, pieces_);
    for (const TextRange& range : pieces_) {
      model_->encode(std::string_view(text).substr(range.first, range.size()), ids);
    }
  }

  void read_added(const formats::JsonNode& node) {
    const std::int64_t count = node.size();
    if (count > kMostAdded) {
      node.refuse(fmt::format("{} tokens; at most {} are accepted", count, kMostAdded));
    }
    const std::int64_t most_id = 2 * std::int64_t{id_end_} + 65536;
    for (std::int64_t i = 0; i < count; ++i) {
      const formats::JsonNode entry = node.at(i);
      AddedToken token;
      token.id = static_cast<std::int32_t>(entry.integer("id", 0, most_id));
      token.content = entry.string("content");
      token.single_word = entry.boolean_or("single_word", false);
      token.lstrip = entry.boolean_or("lstrip", false);
      token.rstrip = entry.boolean_or("rstrip", false);
      token.normalized = entry.boolean_or("normalized", false);
      token.special = entry.boolean_or("special", false);
      add(entry, token);
    }
  }

  void add(const formats::JsonNode& entry, const AddedToken& token) {
    const std::string shown = formats::json_quote(token.content);
    std::string pattern = token.content;
    if (token.normalized) normalizer_.apply(pattern);
    if (pattern.empty() || pattern.size() > AddedTokenFinder::kMaxBytes) {
      entry.at("content").refuse(fmt::format("{} has {} bytes; from 1 to {} are accepted", shown,
                                             pattern.size(), AddedTokenFinder::kMaxBytes));
    }
    const auto of_model = model_->find(token.content);
    if (of_model && *of_model != token.id) {
      entry.at("id").refuse(
          fmt::format("{} is {} here and {} in the vocabulary", shown, token.id, *of_model));
    }
    const bool is_free = token.id >= model_->id_end() || model_->piece(token.id).empty();
    if ((!of_model && !is_free) || !added_.emplace(token.id, token).second) {
      entry.at("id").refuse(fmt::format("{} is the id of another token too", token.id));
    }
    if (!added_ids_.emplace(token.content, token.id).second) {
      entry.at("content").refuse(fmt::format("{} is given twice", shown));
    }
    (token.normalized ? normalized_tokens_ : raw_tokens_).add(pattern, token);
    id_end_ = std::max(id_end_, token.id + 1);
  }

  void read_post_processor(const formats::JsonNode& node) {
    std::deque<formats::JsonNode> waiting{node};
    for (std::int64_t steps = 0; !waiting.empty(); ++steps) {
      if (steps == kMostSteps) node.refuse(fmt::format("more than {} steps", kMostSteps));
      const formats::JsonNode step = waiting.front();
      waiting.pop_front();
      const std::string& type = step.string("type");
      if (type == "Sequence") {
        const formats::JsonNode inner = step.at("processors");
        for (std::int64_t i = inner.size() - 1; i >= 0; --i) waiting.push_front(inner.at(i));
      } else if (type == "TemplateProcessing") {
        read_template(step);
      } else if (type != "ByteLevel") {
        step.at("type").refuse(fmt::format("{} is not supported", formats::json_quote(type)));
      }
    }
  }

  // "single" is a list of special tokens around one sequence.
  void read_template(const formats::JsonNode& node) {
    const formats::JsonNode parts = node.at("single");
    if (parts.size() > kMostSteps) parts.refuse(fmt::format("more than {} parts", kMostSteps));
    std::vector<std::int32_t> before, after;
    bool is_after = false;
    for (std::int64_t i = 0; i < parts.size(); ++i) {
      const formats::JsonNode part = parts.at(i);
      if (part.find("Sequence")) {
        if (is_after) part.refuse("a second sequence is not supported");
        is_after = true;
        continue;
      }
      const std::string& name = part.at("SpecialToken").string("id");
      const formats::JsonNode ids = node.at("special_tokens").at(name).at("ids");
      for (std::int64_t k = 0; k < ids.size() && k < kMostSteps; ++k) {
        const auto id = static_cast<std::int32_t>(ids.at(k).as_integer(0, id_end_ - 1));
        (is_after ? after : before).push_back(id);
      }
    }
    // A later template is put around what an earlier one made.
    before.insert(before.end(), prefix_.begin(), prefix_.end());
    prefix_ = std::move(before);
    suffix_.insert(suffix_.end(), after.begin(), after.end());
  }

  std::string name_;
  TextNormalizer normalizer_;
  TextSplitter splitter_;
  std::optional<BpeModel> model_;
  std::int32_t id_end_ = 0;
  std::unordered_map<std::int32_t, AddedToken> added_;
  TextMap<std::int32_t> added_ids_;
  AddedTokenFinder raw_tokens_, normalized_tokens_;
  TokenDecoder decoder_;
  std::vector<std::int32_t> prefix_, suffix_;
  std::optional<std::int32_t> bos_, eos_;
  bool adds_bos_ = false;
  std::vector<TextRange> pieces_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_json_tokenizer(const formats::JsonText& json,
                                               const SpecialNames& names) {
  return std::make_unique<JsonTokenizer>(json, names);
}

}  // namespace shardquant::tokenizer
