#include "pipeline/tokenizer/sentencepiece_spec.hpp"

#include <cstdint>

#include "pipeline/failure.hpp"

namespace shardquant::tokenizer {

namespace {

// Numbers of fields in sentencepiece_model.proto.
constexpr std::uint64_t kTrainerSpec = 2;
constexpr std::uint64_t kNormalizerSpec = 3;
constexpr std::uint64_t kModelType = 3;  // of the trainer
constexpr std::uint64_t kWhitespaceAsSuffix = 24;
constexpr std::uint64_t kCharacterMap = 2;  // of the normalizer
constexpr std::uint64_t kAddDummyPrefix = 3;
constexpr std::uint64_t kRemoveExtraWhitespaces = 4;
constexpr std::uint64_t kEscapeWhitespaces = 5;
constexpr std::uint64_t kBpe = 2;

struct WireField {
  std::uint64_t number = 0;
  std::uint64_t value = 0;  // of a varint
  std::string_view bytes;   // of a length-delimited one
};

// Walks over the fields of one message of the wire format.
class WireReader {
 public:
  explicit WireReader(std::string_view message) : rest_(message) {}

  bool next(WireField& field) {
    if (rest_.empty()) return false;
    const std::uint64_t tag = varint();
    field = {tag >> 3, 0, {}};
    switch (tag & 7) {
      case 0:
        field.value = varint();
        break;
      case 1:
        take(8);
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        take(4);
        break;
      default:
        refuse();
    }
    return true;
  }

 private:
  [[noreturn]] static void refuse() {
    fail(ExitCode::bad_data, "tokenizer.model: no protocol buffer of a sentencepiece model");
  }

  std::string_view take(std::uint64_t bytes) {
    if (bytes > rest_.size()) refuse();
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    refuse();
  }

  std::string_view rest_;
};

void read_trainer(std::string_view message, SentencePieceSpec& spec) {
  WireReader reader(message);
  for (WireField field; reader.next(field);) {
    if (field.number == kModelType) spec.is_bpe = field.value == kBpe;
    if (field.number == kWhitespaceAsSuffix) spec.whitespace_as_suffix = field.value != 0;
  }
}

void read_normalizer(std::string_view message, SentencePieceSpec& spec) {
  WireReader reader(message);
  for (WireField field; reader.next(field);) {
    const bool is_set = field.value != 0;
    if (field.number == kCharacterMap) spec.is_identity = field.bytes.empty();
    if (field.number == kAddDummyPrefix) spec.add_dummy_prefix = is_set;
    if (field.number == kRemoveExtraWhitespaces) spec.remove_extra_whitespaces = is_set;
    if (field.number == kEscapeWhitespaces) spec.escape_whitespaces = is_set;
  }
}

}  // namespace

SentencePieceSpec read_sentencepiece_spec(std::string_view model) {
  SentencePieceSpec spec;
  WireReader reader(model);
  for (WireField field; reader.next(field);) {
    if (field.number == kTrainerSpec) read_trainer(field.bytes, spec);
    if (field.number == kNormalizerSpec) read_normalizer(field.bytes, spec);
  }
  return spec;
}

}  // namespace shardquant::tokenizer
