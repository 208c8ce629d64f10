#include "pipeline/tokenizer/unicode_text.hpp"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>

#include "pipeline/failure.hpp"

namespace shardquant::tokenizer {

namespace {

std::uint32_t byte_at(std::string_view text, std::size_t place) {
  return static_cast<unsigned char>(text[place]);
}

bool is_continuation(std::uint32_t byte) {
  return (byte & 0xC0) == 0x80;
}

// Bytes of the well-formed sequence at `place`; 0 where there is none.
std::size_t well_formed_bytes(std::string_view text, std::size_t place) {
  const std::uint32_t lead = byte_at(text, place);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const std::size_t bytes = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (text.size() - place < bytes) return 0;
  for (std::size_t i = 1; i < bytes; ++i) {
    if (!is_continuation(byte_at(text, place + i))) return 0;
  }
  const std::uint32_t second = byte_at(text, place + 1);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool surrogate = lead == 0xED && second > 0x9F;
  const bool too_large = lead == 0xF4 && second > 0x8F;
  return overlong || surrogate || too_large ? 0 : bytes;
}

const icu::Normalizer2& normalizer_of(NormalForm form) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = nullptr;
  switch (form) {
    case NormalForm::nfc:
      normalizer = icu::Normalizer2::getNFCInstance(error);
      break;
    case NormalForm::nfd:
      normalizer = icu::Normalizer2::getNFDInstance(error);
      break;
    case NormalForm::nfkc:
      normalizer = icu::Normalizer2::getNFKCInstance(error);
      break;
    case NormalForm::nfkd:
      normalizer = icu::Normalizer2::getNFKDInstance(error);
      break;
  }
  if (U_FAILURE(error) || normalizer == nullptr) {
    fail(ExitCode::internal, "ICU has no normalization data: {}", u_errorName(error));
  }
  return *normalizer;
}

}  // namespace

char32_t code_point_at(std::string_view text, std::size_t place) {
  const std::uint32_t lead = byte_at(text, place);
  if (lead < 0x80) return lead;
  const std::size_t bytes = sequence_bytes(text[place]);
  std::uint32_t point = lead & (0xFFu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) point = point << 6 | (byte_at(text, place + i) & 0x3F);
  return point;
}

void append_utf8(std::string& text, char32_t point) {
  const auto put = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | point >> 6);
    put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3F));
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
  }
}

std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t place = 0; place < text.size();) {
    const std::size_t bytes = well_formed_bytes(text, place);
    if (bytes == 0) return place;
    place += bytes;
  }
  return std::string_view::npos;
}

std::string normal_form(std::string_view text, NormalForm form) {
  const icu::Normalizer2& normalizer = normalizer_of(form);
  const icu::StringPiece source(text.data(), static_cast<std::int32_t>(text.size()));
  UErrorCode error = U_ZERO_ERROR;
  std::string result;
  icu::StringByteSink<std::string> sink(&result, source.length());
  normalizer.normalizeUTF8(0, source, sink, nullptr, error);
  if (U_FAILURE(error)) fail(ExitCode::internal, "ICU cannot normalize: {}", u_errorName(error));
  return result;
}

std::string lower_case(std::string_view text) {
  constexpr char32_t kCapitalIWithDot = 0x130;  // the one letter that becomes two
  std::string result;
  result.reserve(text.size());
  for (std::size_t place = 0; place < text.size(); place += sequence_bytes(text[place])) {
    const char32_t point = code_point_at(text, place);
    if (point == kCapitalIWithDot) {
      result += "i\xCC\x87";
    } else {
      append_utf8(result, static_cast<char32_t>(u_tolower(static_cast<UChar32>(point))));
    }
  }
  return result;
}

bool is_white_space(char32_t point) {
  return u_isUWhiteSpace(static_cast<UChar32>(point)) != 0;
}

bool is_word(char32_t point) {
  const auto code = static_cast<UChar32>(point);
  constexpr std::uint32_t kWordCategories = U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK;
  return u_hasBinaryProperty(code, UCHAR_ALPHABETIC) != 0 ||
         u_hasBinaryProperty(code, UCHAR_JOIN_CONTROL) != 0 ||
         (U_GET_GC_MASK(code) & kWordCategories) != 0;
}

std::size_t trailing_space_start(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t start = end - 1;
    while (start > 0 && is_continuation(byte_at(text, start))) --start;
    if (!is_white_space(code_point_at(text, start))) break;
    end = start;
  }
  return end;
}

std::size_t leading_space_bytes(std::string_view text) {
  std::size_t place = 0;
  while (place < text.size() && is_white_space(code_point_at(text, place))) {
    place += sequence_bytes(text[place]);
  }
  return place;
}

}  // namespace shardquant::tokenizer
