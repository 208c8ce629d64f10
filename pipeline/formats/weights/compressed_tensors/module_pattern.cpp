#include "pipeline/formats/weights/compressed_tensors/module_pattern.hpp"

#include <array>
#include <utility>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::compressed_tensors {

namespace {

constexpr std::size_t kMostPatternBytes = 1024;
constexpr std::uint32_t kMostNesting = 50;
constexpr std::uint32_t kMostSteps = 100'000;
constexpr std::uint32_t kMostHeapKib = 1024;

PCRE2_SPTR units(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data());
}

std::string error_text(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace

struct ModulePattern::Program {
  std::string expression;
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;

  Program() = default;
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    pcre2_match_context_free(context);
    pcre2_code_free(code);
  }
};

ModulePattern::ModulePattern(std::string_view expression, std::string place)
    : place_(std::move(place)) {
  if (expression.empty() || expression.size() > kMostPatternBytes) {
    fail(ExitCode::bad_data, "{}: a pattern of {} bytes; from 1 to {} are accepted", place_,
         expression.size(), kMostPatternBytes);
  }
  if (expression.starts_with("(*")) {
    fail(ExitCode::bad_data, "{}: {}: (*...) is no regular expression of Python", place_,
         formats::json_quote(expression));
  }
  auto program = std::make_shared<Program>();
  program->expression = expression;
  pcre2_compile_context* compiling = pcre2_compile_context_create(nullptr);
  program->context = pcre2_match_context_create(nullptr);
  if (compiling == nullptr || program->context == nullptr) {
    pcre2_compile_context_free(compiling);
    fail(ExitCode::internal, "no memory for a pattern");
  }
  pcre2_set_parens_nest_limit(compiling, kMostNesting);
  int error = 0;
  PCRE2_SIZE offset = 0;
  program->code = pcre2_compile(units(expression), expression.size(),
                                PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &offset, compiling);
  pcre2_compile_context_free(compiling);
  if (program->code == nullptr) {
    fail(ExitCode::bad_data, "{}: {}: no pattern that can be used: {} (at byte {})", place_,
         formats::json_quote(expression), error_text(error), offset);
  }
  pcre2_set_match_limit(program->context, kMostSteps);
  pcre2_set_depth_limit(program->context, kMostSteps);
  pcre2_set_heap_limit(program->context, kMostHeapKib);
  program_ = std::move(program);
}

bool ModulePattern::matches(std::string_view module) const {
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
  if (match == nullptr) fail(ExitCode::internal, "no memory for a pattern");
  const int result = pcre2_match(program_->code, units(module), module.size(), 0, PCRE2_ANCHORED,
                                 match.get(), program_->context);
  if (result >= 0) return true;
  if (result == PCRE2_ERROR_NOMATCH) return false;
  fail(ExitCode::bad_data, "{}: {} cannot be matched with {}: {}", place_,
       formats::json_quote(program_->expression), formats::json_quote(module), error_text(result));
}

std::string pattern_below(std::string_view prefix) {
  std::string pattern(kPatternMark);
  pattern += '^';
  for (const char c : prefix) {
    const bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '_' || static_cast<unsigned char>(c) > 0x7f;
    if (!is_word) pattern += '\\';
    pattern += c;
  }
  return pattern + "\\..*";
}

}  // namespace shardquant::compressed_tensors
