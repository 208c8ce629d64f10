#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "pipeline/calibration/chat_renderer.hpp"
#include "pipeline/calibration/document_encoder.hpp"
#include "pipeline/calibration/document_source.hpp"
#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/report/log.hpp"

namespace shardquant::commands {

namespace {

constexpr std::int64_t kMostTokens = std::int64_t{1} << 32;  // held in memory
constexpr std::size_t kShown = 12;

void require_free(const TokenizeArguments& arguments) {
  std::error_code error;
  if (arguments.out.empty() || arguments.force) return;
  if (std::filesystem::exists(arguments.out, error)) {
    fail(ExitCode::cannot_create, "{}: exists; --force overwrites it", arguments.out);
  }
}

void show_document(const tokenizer::Tokenizer& tokenizer, std::span<const std::int32_t> ids,
                   std::int64_t number) {
  std::string text;
  for (const std::int32_t id : ids.first(std::min(ids.size(), kShown))) {
    text += fmt::format(" {}:{}", id, report::printable(tokenizer.piece(id)));
  }
  std::printf("document %lld, %zu tokens:%s%s\n", static_cast<long long>(number), ids.size(),
              text.c_str(), ids.size() > kShown ? " ..." : "");
}

}  // namespace

void tokenize(const TokenizeArguments& arguments) {
  require_free(arguments);
  const auto tokenizer = tokenizer::open_tokenizer(arguments.tokenizer);
  constexpr std::int64_t kAnyId = std::int64_t{1} << 31;
  calibration::DocumentEncoder encoder(*tokenizer, calibration::bos_policy(arguments.bos), kAnyId,
                                       "--no-bos");
  const calibration::RenderMessages render = calibration::chat_renderer(arguments.tokenizer);
  std::vector<std::int32_t> ids;
  std::int64_t documents = 0;
  std::int64_t text_bytes = 0;
  for (const std::string& input : arguments.inputs) {
    for (const auto& file : calibration::source_files(input)) {
      const calibration::DocumentRules rules{calibration::source_kind(arguments.kind, file),
                                             arguments.separator, arguments.field, render};
      if (!calibration::is_text(rules.kind)) {
        fail(ExitCode::usage, "{}: tokens already; --kind text reads it as text", file.string());
      }
      if (arguments.kind == "auto") {
        std::fprintf(stderr, "shardquant: %s taken for %s\n",
                     report::printable(file.string()).c_str(),
                     std::string(calibration::kind_text(rules.kind)).c_str());
      }
      calibration::read_documents(file, rules, [&](const calibration::Document& document) {
        const std::size_t before = ids.size();
        encoder.append(document, file, ids);
        if (std::ssize(ids) > kMostTokens) {
          fail(ExitCode::bad_data, "more than {} tokens at once", kMostTokens);
        }
        ++documents;
        text_bytes += std::ssize(document.text);
        if (arguments.show) show_document(*tokenizer, std::span(ids).subspan(before), documents);
        return true;
      });
    }
  }
  if (ids.empty()) fail(ExitCode::bad_data, "{}: no text in it", arguments.inputs.front());
  const std::string_view bytes(reinterpret_cast<const char*>(ids.data()),
                               ids.size() * sizeof(std::int32_t));
  if (!arguments.out.empty()) checkpoint::write_durably(arguments.out, bytes);
  std::printf("%lld documents, %lld bytes, %zu tokens, %.4f bytes per token, xxh3_128 %s\n",
              static_cast<long long>(documents), static_cast<long long>(text_bytes), ids.size(),
              static_cast<double>(text_bytes) / static_cast<double>(ids.size()),
              checkpoint::xxh3_128_hex(bytes).c_str());
}

}  // namespace shardquant::commands
