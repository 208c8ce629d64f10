#include "pipeline/output/reader_fields.hpp"

#include <fmt/format.h>

#include "pipeline/records/python_number.hpp"

namespace shardquant::output {

namespace {

using model::RopeScalingKind;
using records::python_number;

constexpr const char* kNothing = "null";

std::string truth(bool flag) {
  return flag ? "true" : "false";
}

// One of `type` and `rope_type`: the reader refuses both. Its older versions know the linear kind
// by the former alone, the other by the latter.
std::string rope_scaling(const model::RopeSettings& rope) {
  switch (rope.scaling) {
    case RopeScalingKind::none:
      break;
    case RopeScalingKind::linear:
      return fmt::format(R"({{"type": "linear", "factor": {}}})", python_number(rope.factor));
    case RopeScalingKind::llama3:
      return fmt::format(R"({{"rope_type": "llama3", "factor": {}, "low_freq_factor": {}, )"
                         R"("high_freq_factor": {}, "original_max_position_embeddings": {}}})",
                         python_number(rope.factor), python_number(rope.low_freq_factor),
                         python_number(rope.high_freq_factor),
                         rope.original_max_position_embeddings);
  }
  return kNothing;
}

std::string default_head_dim(const model::ModelDescription& model) {
  return std::to_string(model.hidden_size / model.heads);
}

// Factors that other families have; the reader applies them whatever the architecture.
void add_foreign_factors(std::vector<weights::ReaderField>& fields) {
  for (const char* name : {"logit_scale", "scale_emb", "embedding_multiplier"}) {
    fields.push_back({name, "1.0", "1.0"});
  }
  for (const char* name :
       {"logits_scaling", "residual_multiplier", "scale_depth", "attn_logit_softcapping",
        "final_logit_softcapping", "norm_head", "attention_multiplier", "query_pre_attn_scalar"}) {
    fields.push_back({name, kNothing, kNothing});
  }
  fields.push_back({"partial_rotary_factor", "1.0", "1.0"});
}

std::vector<weights::ReaderField> exl2_fields(const model::ModelDescription& model) {
  std::vector<weights::ReaderField> fields = {
      {"head_dim", std::to_string(model.head_dim), default_head_dim(model)},
      {"num_key_value_heads", std::to_string(model.kv_heads), std::to_string(model.heads)},
      {"use_qk_norm", truth(model.qk_norm), truth(model.qk_norm)},
      {"rms_norm_eps", python_number(model.rms_norm_eps), kNothing},
      // Two names that come before it, for the reader.
      {"max_sequence_length", kNothing, kNothing},
      {"model_max_length", kNothing, kNothing},
      {"max_position_embeddings", std::to_string(model.max_position_embeddings), "2048"},
      {"rope_theta", python_number(model.rope.theta), "10000.0"},
      {"rope_scaling", rope_scaling(model.rope), kNothing},
      // The biases of Qwen2's q, k and v are the reader's own.
      {"attention_bias", truth(model.o_bias), "false"},
      {"mlp_bias", truth(model.mlp_bias), "false"},
      {"tie_word_embeddings", truth(model.tie_word_embeddings), "false"},
  };
  add_foreign_factors(fields);
  return fields;
}

}  // namespace

std::vector<weights::ReaderField> reader_fields(const weights::WeightFormat& format,
                                                const model::ModelDescription& model) {
  if (format.name() == "exl2") return exl2_fields(model);
  return {};
}

}  // namespace shardquant::output
