#include "pipeline/report/model_card.hpp"

#include <fmt/format.h>

#include <cctype>

#include "pipeline/report/log.hpp"
#include "pipeline/report/memory.hpp"

namespace shardquant::report {

namespace {

std::string head_text(std::int64_t bits) {
  return bits == 16 ? "16 (fp16)" : fmt::format("{}", bits);
}

// One row per output, in the columns that quantizers publish.
std::string figures_table(const ModelCard& card) {
  std::string names = "| Bits per weight | Head bits | Size |";
  std::string rule = "|---|---|---|";
  std::string row = fmt::format("| {:.4f} | {} | {} |", card.bpw, head_text(card.head_bits),
                                bytes_text(card.weight_bytes));
  if (card.evaluation) {
    const ModelCard::Evaluation& e = *card.evaluation;
    names += " Perplexity | Unquantized | KL divergence | KL, 99th percentile | Same top token |";
    rule += "---|---|---|---|---|";
    row += fmt::format(" {:.5f} | {:.5f} | {:.6f} | {:.6f} | {:.3f} % |", e.perplexity,
                       e.plain_perplexity, e.kl_mean, e.kl_99, 100.0 * e.top_agreement);
  }
  return names + '\n' + rule + '\n' + row + '\n';
}

// What the output is worth, in a sentence.
std::string verdict_text(const ModelCard& card) {
  std::string text = fmt::format(
      "{}, {:.0f} % of the unquantized model's {}: {:.2f} bits for each of its weights, embeddings "
      "and head included.",
      bytes_text(card.weight_bytes),
      100.0 * static_cast<double>(card.weight_bytes) / static_cast<double>(card.plain_bytes),
      bytes_text(card.plain_bytes), card.folder_bpw);
  if (card.evaluation) {
    const ModelCard::Evaluation& e = *card.evaluation;
    text += fmt::format(
        " Perplexity {:.4f} where\nthe unquantized model has {:.4f} ({:+.2f} %, lower is better); "
        "KL "
        "divergence from it {:.4f} (0 is equal); the same\nlikeliest token in {:.1f} % of places.",
        e.perplexity, e.plain_perplexity, 100.0 * (e.perplexity / e.plain_perplexity - 1.0),
        e.kl_mean, 100.0 * e.top_agreement);
  }
  return text + '\n';
}

// What was minimized; the value of `kl` has a meaning of its own.
std::string objective_text(const ModelCard& card) {
  if (card.objective != "kl") return fmt::format("objective `{}`", card.objective);
  return fmt::format(
      "objective `kl`, squared errors weighted by what each layer was measured to do to the "
      "predictions: a KL divergence of {:.6f} by that model",
      card.objective_value);
}

std::string evaluation_text(const ModelCard& card) {
  if (!card.evaluation) return "Perplexity and KL divergence were not taken.\n";
  return fmt::format(
      "Perplexity and KL divergence are over {} rows of {} tokens that the calibration did not see "
      "(XXH3-128 of\ntheir ids `{}`); KL is that of the quantized model's predictions from the "
      "unquantized one's,\nnatural logarithm, mean over tokens.\n",
      card.evaluation->rows, card.evaluation->length, card.evaluation->rows_hash);
}

// For the Hub: only what is known; a base model it cannot find is an error there.
std::string metadata(const ModelCard& card) {
  std::string text = card.license;
  if (!card.base_model.empty()) {
    text += fmt::format("base_model: {}\nbase_model_relation: quantized\n", card.base_model);
  }
  return text +
         fmt::format("pipeline_tag: text-generation\nquantized_by: shardquant\ntags:\n- {}\n",
                     card.tag);
}

// What a copy of the model may be called where a shell reads it: its name without its owner's and
// without what a shell would take for more than a name, and its bits.
std::string copy_name(const ModelCard& card) {
  std::string out;
  for (const char c : card.model.substr(card.model.rfind('/') + 1)) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' ||
                       c == '-' || c == '+';
    if (plain) out += c;
  }
  return fmt::format("{}-{}-{:.2f}bpw", out.empty() ? "model" : out, card.tag, card.bpw);
}

std::string license_text(const ModelCard& card) {
  if (card.license.empty()) return "that of the model";
  const std::size_t begin = card.license.find(": ") + 2;
  return markdown_escaped(card.license.substr(begin, card.license.find('\n') - begin)) +
         ", that of the model";
}

constexpr std::string_view kSizesBegin = "<!-- sizes -->\n";
constexpr std::string_view kSizesEnd = "<!-- end of sizes -->\n";

std::string loaders_rows(const ModelCard& card) {
  std::string rows;
  for (const auto& [loader, versions] : card.loaders) {
    rows += fmt::format("| {} | {} |\n", loader, versions);
  }
  return rows;
}

}  // namespace

std::string markdown_escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '\\':
      case '`':
      case '*':
      case '_':
      case '[':
      case ']':
      case '|':
      case '#':
      case '~':
      case '!':
      case '$':
        out += '\\';
        out += c;
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string model_card_text(const ModelCard& card) {
  const std::string name = markdown_escaped(card.model);
  return fmt::format(
      R"(---
{}---

# {}, {}, {:.2f} bits per weight

{}
{}
{}
{}{}
## Use

```
hf download OWNER/{} --local-dir {}
```

with the owner and the name it was published under. Prompt format: {}.

`xxh128sum -c checksums.xxh128` or `shardquant verify .` tells whether every byte is as it was written.

## Quantization

| | |
|---|---|
| Model | {}, {} family, {} weights in the linear layers of its blocks |
| License | {} |
| Bits per weight of those | {:.4f}, on disk {:.4f} |
| Bits per weight of the folder | {:.4f} |
| Head | {} bits |
| Allocation of bits | {}; sum of the layers' relative errors {:.6f}, largest {:.6f} |
| Calibration | {} rows of {} tokens from {} |

`measurement.json` has the error of every option of every layer, `plan.json` the options chosen and
the bound that proves the choice.

## Loaders

| Loader | Versions |
|---|---|
{}| `shardquant eval`, `shardquant verify` | all |
)",
      metadata(card), name, card.format, card.bpw, verdict_text(card), figures_table(card),
      evaluation_text(card), kSizesBegin, kSizesEnd, copy_name(card), copy_name(card),
      card.prompt_format, name, card.family, card.parameters, license_text(card), card.bpw,
      card.stored_bpw, card.folder_bpw, head_text(card.head_bits), objective_text(card),
      card.sum_err, card.max_err, card.calibration_rows, card.calibration_length,
      markdown_escaped(card.calibration), loaders_rows(card));
}

std::string with_siblings(const std::string& card,
                          const std::vector<ModelCard::Sibling>& siblings) {
  const std::size_t begin = card.find(kSizesBegin);
  const std::size_t end = card.find(kSizesEnd);
  if (begin == std::string::npos || end == std::string::npos || end < begin) return card;
  std::string table;
  if (siblings.size() > 1) {
    table = "\n## Sizes\n\n| Folder | Bits per weight | Size | Perplexity |\n|---|---|---|---|\n";
    for (const ModelCard::Sibling& sibling : siblings) {
      const std::string perplexity =
          sibling.perplexity > 0.0 ? fmt::format("{:.5f}", sibling.perplexity) : "-";
      table += fmt::format("| {} | {:.4f} | {} | {} |\n", markdown_escaped(sibling.folder),
                           sibling.bpw, bytes_text(sibling.weight_bytes), perplexity);
    }
    table += '\n';
  }
  return card.substr(0, begin + kSizesBegin.size()) + table + card.substr(end);
}

}  // namespace shardquant::report
