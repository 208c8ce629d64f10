#include "pipeline/tokenizer/split_pattern.hpp"

#include <ctime>

#include <algorithm>
#include <array>
#include <utility>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "pipeline/failure.hpp"
#include "pipeline/tokenizer/unicode_text.hpp"

namespace shardquant::tokenizer {

namespace {

constexpr std::size_t kMostPatternBytes = 8192;
constexpr std::uint32_t kMostNesting = 50;
constexpr std::uint32_t kMostHeapKib = 64 * 1024;
// What a match is tried with first; both grow as it turns out to need more.
constexpr std::uint32_t kFirstSteps = 1000;
constexpr std::size_t kFirstWindow = 512;
constexpr std::uint32_t kMostSteps = 1u << 26;
constexpr std::uint32_t kGrowth = 4;
// Processor time: of one match, and of all of them beside what their number allows.
constexpr double kMostMatchSeconds = 0.5;
constexpr double kSpareSeconds = 0.5;
constexpr double kSecondsPerMatch = 10e-6;
constexpr std::int64_t kSampling = 64;  // of so many matches the time of one is taken

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string error_text(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

PCRE2_SPTR units(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data());
}

// Escapes that mean one thing here and another, or nothing, in Oniguruma.
std::optional<std::string_view> foreign_escape(std::string_view pattern) {
  constexpr std::string_view kForeign = "hHRXKGQECN";
  for (std::size_t i = 0; i + 1 < pattern.size(); ++i) {
    if (pattern[i] != '\\') continue;
    if (kForeign.find(pattern[i + 1]) != std::string_view::npos) return pattern.substr(i, 2);
    ++i;
  }
  return std::nullopt;
}

bool exceeds_limit(int result) {
  return result == PCRE2_ERROR_MATCHLIMIT || result == PCRE2_ERROR_DEPTHLIMIT ||
         result == PCRE2_ERROR_HEAPLIMIT;
}

// PCRE2 counts U+180E as white space, as Unicode did before 6.3; tokenizers do not. Another format
// character of the same length stands in for it while matching.
void hide_vowel_separator(std::string& text) {
  constexpr std::string_view kSeparator = "\xE1\xA0\x8E";
  for (std::size_t at = 0; (at = text.find(kSeparator, at)) != std::string::npos;) {
    text.replace(at, kSeparator.size(), "\xE2\x81\xA0");
  }
}

}  // namespace

struct SplitPattern::Program {
  pcre2_code* code = nullptr;
  pcre2_match_data* match = nullptr;
  pcre2_match_context* context = nullptr;
  std::int64_t matches = 0;
  double spent = 0.0;  // seconds, of all matches
  std::string shadow;  // of the range being searched, where it is not matched itself

  ~Program() {
    pcre2_match_context_free(context);
    pcre2_match_data_free(match);
    pcre2_code_free(code);
  }
};

SplitPattern::SplitPattern(const std::string& pattern, Syntax syntax, std::string place)
    : place_(std::move(place)), program_(std::make_unique<Program>()) {
  if (pattern.empty() || pattern.size() > kMostPatternBytes) {
    fail(ExitCode::bad_data, "{}: a pattern of {} bytes; from 1 to {} are accepted", place_,
         pattern.size(), kMostPatternBytes);
  }
  std::uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C;
  if (syntax == Syntax::literal) {
    options = PCRE2_UTF | PCRE2_LITERAL;
  } else {
    options |= PCRE2_UCP;
    if (const auto escape = foreign_escape(pattern)) {
      fail(ExitCode::bad_data, "{}: {}: the escape {} is not supported", place_,
           formats::json_quote(pattern), formats::json_quote(*escape));
    }
    if (pattern.starts_with("(*")) {
      fail(ExitCode::bad_data, "{}: {}: (*...) at the start is not supported", place_,
           formats::json_quote(pattern));
    }
  }
  pcre2_compile_context* compiling = pcre2_compile_context_create(nullptr);
  if (compiling == nullptr) fail(ExitCode::internal, "no memory for a pattern");
  pcre2_set_parens_nest_limit(compiling, kMostNesting);
  int error = 0;
  PCRE2_SIZE offset = 0;
  program_->code =
      pcre2_compile(units(pattern), pattern.size(), options, &error, &offset, compiling);
  pcre2_compile_context_free(compiling);
  if (program_->code == nullptr) {
    fail(ExitCode::bad_data, "{}: {}: no pattern that can be used: {} (at byte {})", place_,
         formats::json_quote(pattern), error_text(error), offset);
  }
  program_->match = pcre2_match_data_create(1, nullptr);
  program_->context = pcre2_match_context_create(nullptr);
  if (program_->match == nullptr || program_->context == nullptr) {
    fail(ExitCode::internal, "no memory for a pattern");
  }
  pcre2_set_heap_limit(program_->context, kMostHeapKib);
}

SplitPattern SplitPattern::from_json(const formats::JsonNode& node, const std::string& file) {
  const std::string place = fmt::format("{}: {}", file, node.path());
  if (node.is_string()) return {node.as_string(), Syntax::literal, place};
  if (const auto literal = node.find("String"))
    return {literal->as_string(), Syntax::literal, place};
  return {node.string("Regex"), Syntax::regex, place};
}

SplitPattern::~SplitPattern() = default;
SplitPattern::SplitPattern(SplitPattern&&) noexcept = default;

std::optional<TextRange> SplitPattern::find(std::string_view text, TextRange range,
                                            std::size_t from) {
  std::string_view here = text.substr(range.first, range.size());
  if (from == range.first) {
    program_->shadow.clear();
    if (here.find("\xE1\xA0\x8E") != std::string_view::npos) {
      program_->shadow.assign(here);
      hide_vowel_separator(program_->shadow);
    }
  }
  if (!program_->shadow.empty()) here = program_->shadow;
  for (std::size_t at = from - range.first; at < here.size(); at += sequence_bytes(here[at])) {
    if (const auto found = match_at(here, at)) {
      return TextRange{range.first + found->first, range.first + found->end};
    }
  }
  return std::nullopt;
}

// A place is tried with a small window of text and few steps. A match that would look beyond the
// window says so and gets a larger one; so the cost of a match depends on its own length, not on
// that of the text. As each attempt costs more than the last by a bounded factor, the time of one
// attempt tells whether the next may be made.
std::optional<TextRange> SplitPattern::match_at(std::string_view text, std::size_t place) {
  Program& program = *program_;
  std::uint32_t steps = kFirstSteps;
  std::size_t window = kFirstWindow;
  double spent_here = 0.0;
  // First attempts are cheap and many, and the time of a few tells that of all.
  bool is_timed = ++program.matches % kSampling == 0;
  double weight = static_cast<double>(kSampling);
  while (true) {
    const double began = is_timed ? processor_seconds() : 0.0;
    const int result = attempt(text, place, steps, window);
    if (is_timed) {
      const double seconds = processor_seconds() - began;
      spent_here += seconds;
      program.spent += weight * seconds;
      const double allowed =
          kSpareSeconds + kSecondsPerMatch * static_cast<double>(program.matches);
      constexpr double kMargin = 2.0 * kGrowth;
      const bool is_done = result >= 0 || result == PCRE2_ERROR_NOMATCH;
      if (program.spent > allowed || (!is_done && kMargin * spent_here > kMostMatchSeconds)) {
        refuse_cost(text, place);
      }
    }
    if (result >= 0) {
      const PCRE2_SIZE* found = pcre2_get_ovector_pointer(program.match);
      return TextRange{found[0], found[1]};
    }
    if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
    if (result == PCRE2_ERROR_PARTIAL) {
      window *= kGrowth;
    } else if (exceeds_limit(result)) {
      if (steps >= kMostSteps || result == PCRE2_ERROR_HEAPLIMIT) refuse_cost(text, place);
      steps *= kGrowth;
    } else {
      fail(ExitCode::bad_data, "{}: cannot be matched: {}", place_, error_text(result));
    }
    is_timed = true;
    weight = 1.0;
  }
}

int SplitPattern::attempt(std::string_view text, std::size_t place, std::uint32_t steps,
                          std::size_t window) {
  std::size_t end = window < text.size() - place ? place + window : text.size();
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
  pcre2_set_match_limit(program_->context, steps);
  pcre2_set_depth_limit(program_->context, steps);
  const std::uint32_t partial = end < text.size() ? PCRE2_PARTIAL_HARD : 0;
  return pcre2_match(program_->code, units(text), end, place,
                     PCRE2_ANCHORED | PCRE2_NO_UTF_CHECK | partial, program_->match,
                     program_->context);
}

void SplitPattern::refuse_cost(std::string_view text, std::size_t place) const {
  fail(ExitCode::bad_data, "{}: this pattern takes too long at {}", place_,
       formats::json_quote(text.substr(place, 40)));
}

}  // namespace shardquant::tokenizer
