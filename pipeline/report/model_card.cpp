#include "pipeline/report/model_card.hpp"

#include <fmt/format.h>

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
quantized_by: shardquant
tags:
- {}
---

# {}, {}, {:.2f} bits per weight

{}
{}
## Quantization

| | |
|---|---|
| Model | {}, {} family, {} weights in the linear layers of its blocks |
| Bits per weight of those | {:.4f}, on disk {:.4f} |
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
      card.tag, name, card.format, card.bpw, figures_table(card), evaluation_text(card), name,
      card.family, card.parameters, card.bpw, card.stored_bpw, head_text(card.head_bits),
      objective_text(card), card.sum_err, card.max_err, card.calibration_rows,
      card.calibration_length, markdown_escaped(card.calibration), loaders_rows(card));
}

}  // namespace shardquant::report
