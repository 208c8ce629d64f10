#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shardquant::report {

/// What README.md of an output folder says. Nothing in it depends on when, where and on how many
/// ranks the model was made.
struct ModelCard {
  struct Evaluation {
    double perplexity = 0.0;
    double plain_perplexity = 0.0;  ///< of the model that was quantized
    double kl_mean = 0.0;           ///< divergence of the two, natural logarithm
    double kl_99 = 0.0;             ///< 99th percentile
    double top_agreement = 0.0;     ///< share of tokens after which both think the same likeliest
    std::int64_t rows = 0;
    std::int64_t length = 0;
    std::string rows_hash;
  };

  /// Another size of the same model.
  struct Sibling {
    std::string folder;
    double bpw = 0.0;
    std::int64_t weight_bytes = 0;
    double perplexity = 0.0;  ///< 0: not evaluated
  };

  std::string base_model;         ///< OWNER/NAME of the Hub; empty: not known
  std::string license;            ///< lines of the Hub's metadata; empty: not known
  std::string prompt_format;      ///< Markdown
  std::string model;              ///< name of its folder
  std::string family;             ///< "Llama"
  std::int64_t parameters = 0;    ///< weights of the linear layers of the blocks
  double bpw = 0.0;               ///< of those, as the measurement counts bits
  double stored_bpw = 0.0;        ///< of those, as they lie on disk
  std::int64_t head_bits = 0;     ///< 16: fp16
  double folder_bpw = 0.0;        ///< bits of all *.safetensors over all weights of the model
  std::int64_t weight_bytes = 0;  ///< of all *.safetensors
  std::int64_t plain_bytes = 0;   ///< of the model that was quantized
  std::string objective;          ///< of the allocation
  double objective_value = 0.0;
  double sum_err = 0.0;
  double max_err = 0.0;
  std::string calibration;  ///< where its rows come from
  std::int64_t calibration_rows = 0;
  std::int64_t calibration_length = 0;
  std::string format;  ///< "EXL2"
  std::string tag;     ///< of the format, in the front matter
  /// Programs that load it, each with what is known of their versions.
  std::vector<std::pair<std::string, std::string>> loaders;
  std::optional<Evaluation> evaluation;
};

/// The card as Markdown, beginning with the metadata that the Hub reads. Names from files are
/// escaped.
std::string model_card_text(const ModelCard& card);

/// The card with a table of these sizes in place of the one it has; unchanged where its place for
/// the table was taken out.
std::string with_siblings(const std::string& card, const std::vector<ModelCard::Sibling>& siblings);

/// `text` on one line, with what Markdown and HTML would take for markup escaped.
std::string markdown_escaped(std::string_view text);

}  // namespace shardquant::report
