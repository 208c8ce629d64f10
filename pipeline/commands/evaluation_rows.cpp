#include "pipeline/commands/evaluation_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "pipeline/calibration/chat_renderer.hpp"
#include "pipeline/calibration/document_encoder.hpp"
#include "pipeline/calibration/document_source.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/token_stream.hpp"
#include "pipeline/model/position_limit.hpp"

namespace shardquant::commands {

namespace {

using calibration::DocumentEncoder;

constexpr std::int64_t kUsualLength = 2048;  // at which perplexities are usually given

// Cuts a document into rows; with BosPolicy::row each begins with BOS. One token alone predicts
// nothing.
void cut_into_rows(const std::vector<std::int32_t>& ids, std::int64_t length,
                   std::optional<std::int32_t> bos, std::size_t file, EvaluationRows& made) {
  const std::int64_t step = length - (bos ? 1 : 0);
  for (std::int64_t first = 0; first < std::ssize(ids); first += step) {
    const auto begin = ids.begin() + first;
    std::vector<std::int32_t> row;
    if (bos) row.push_back(*bos);
    row.insert(row.end(), begin, begin + std::min(step, std::ssize(ids) - first));
    if (row.size() < 2) continue;
    made.rows.push_back(std::move(row));
    made.file_of_row.push_back(file);
  }
}

class TextRows {
 public:
  TextRows(const EvalArguments& arguments, const model::ModelDescription& description)
      : arguments_(arguments),
        length_(arguments.length > 0 ? arguments.length
                                     : std::min(description.max_position_embeddings, kUsualLength)),
        tokenizer_(tokenizer::open_tokenizer(arguments.model_dir)),
        render_(calibration::chat_renderer(arguments.model_dir)),
        encoder_(*tokenizer_, calibration::bos_policy(arguments.bos), description.vocab_size,
                 "--bos none") {}

  EvaluationRows read() {
    for (const std::string& text : arguments_.texts) {
      for (const auto& file : calibration::source_files(text)) read_file(file);
    }
    for (const auto& [kind, files] : kinds_) {
      made_.notes.push_back(fmt::format("{} taken for {}", files, kind));
    }
    if (made_.rows.empty()) {
      fail(ExitCode::bad_data, "{}: no text in it of two tokens or more", arguments_.texts.front());
    }
    return std::move(made_);
  }

 private:
  bool is_full() const { return arguments_.rows > 0 && std::ssize(made_.rows) >= arguments_.rows; }

  void read_file(const std::filesystem::path& file) {
    if (is_full()) return;
    const calibration::DocumentRules rules{calibration::source_kind(arguments_.kind, file),
                                           arguments_.separator, arguments_.field, render_};
    if (!calibration::is_text(rules.kind)) {
      fail(ExitCode::usage, "{}: tokens, not text; give them as --tokens", file.string());
    }
    const std::size_t index = made_.files.size();
    made_.files.push_back(file.string());
    const bool has_row_bos = encoder_.policy() == calibration::BosPolicy::row;
    const auto row_bos = has_row_bos ? tokenizer_->bos() : std::nullopt;
    calibration::read_documents(file, rules, [&](const calibration::Document& document) {
      std::vector<std::int32_t> ids;
      encoder_.append(document, file, ids);
      cut_into_rows(ids, length_, row_bos, index, made_);
      return !is_full();
    });
    if (is_full()) {
      made_.rows.resize(static_cast<std::size_t>(arguments_.rows));
      made_.file_of_row.resize(made_.rows.size());
    }
    std::string& files = kinds_[std::string(calibration::kind_text(rules.kind))];
    files += (files.empty() ? "" : ", ") + file.string();
  }

  const EvalArguments& arguments_;
  std::int64_t length_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  calibration::RenderMessages render_;
  DocumentEncoder encoder_;
  EvaluationRows made_;
  std::map<std::string, std::string> kinds_;
};

EvaluationRows read_tokens(const EvalArguments& arguments, std::int64_t vocabulary) {
  const formats::TokenStream tokens(arguments.tokens);
  const std::int64_t rows = arguments.rows > 0 ? arguments.rows : tokens.rows_of(arguments.length);
  tokens.require_rows(std::max<std::int64_t>(rows, 1), arguments.length);
  EvaluationRows made;
  made.files.push_back(arguments.tokens);
  made.file_of_row.resize(static_cast<std::size_t>(rows));
  for (std::int64_t row = 0; row < rows; ++row) {
    auto& ids = made.rows.emplace_back(static_cast<std::size_t>(arguments.length));
    tokens.read_row(row, vocabulary, ids);
  }
  return made;
}

}  // namespace

EvaluationRows read_evaluation_rows(const EvalArguments& arguments,
                                    const model::ModelDescription& description) {
  EvaluationRows made = arguments.texts.empty() ? read_tokens(arguments, description.vocab_size)
                                                : TextRows(arguments, description).read();
  std::int64_t longest = 0;
  for (const auto& row : made.rows) longest = std::max(longest, std::ssize(row));
  const std::string warning = model::position_warning(description, longest);
  if (!warning.empty()) made.notes.push_back("warning: " + warning);
  return made;
}

}  // namespace shardquant::commands
