#include <array>
#include <string_view>

#include "pipeline/failure.hpp"
#include "pipeline/model/model_description.hpp"

namespace shardquant::model {

namespace {

enum class Input { hidden, attention, intermediate };
enum class Output { hidden, heads, kv_heads, intermediate };

struct LinearRule {
  std::string_view name;
  Role role;
  Input input;
  Output output;
  bool ModelDescription::*bias;
  int group;  // of the block
};

constexpr std::array<LinearRule, kLinearLayersPerBlock> kLinearRules = {{
    {"self_attn.q_proj", Role::q, Input::hidden, Output::heads, &ModelDescription::qkv_bias, 0},
    {"self_attn.k_proj", Role::k, Input::hidden, Output::kv_heads, &ModelDescription::qkv_bias, 0},
    {"self_attn.v_proj", Role::v, Input::hidden, Output::kv_heads, &ModelDescription::qkv_bias, 0},
    {"self_attn.o_proj", Role::o, Input::attention, Output::hidden, &ModelDescription::o_bias, 1},
    {"mlp.gate_proj", Role::gate, Input::hidden, Output::intermediate, &ModelDescription::mlp_bias,
     2},
    {"mlp.up_proj", Role::up, Input::hidden, Output::intermediate, &ModelDescription::mlp_bias, 2},
    {"mlp.down_proj", Role::down, Input::intermediate, Output::hidden, &ModelDescription::mlp_bias,
     3},
}};

constexpr std::array<std::string_view, kGroupsPerBlock> kGroupNames = {"attn_in", "o_in", "mlp_in",
                                                                       "down_in"};

std::int64_t input_size(const ModelDescription& model, Input input) {
  switch (input) {
    case Input::hidden:
      return model.hidden_size;
    case Input::attention:
      return model.heads * model.head_dim;
    case Input::intermediate:
      return model.intermediate_size;
  }
  return 0;
}

std::int64_t output_size(const ModelDescription& model, Output output) {
  switch (output) {
    case Output::hidden:
      return model.hidden_size;
    case Output::heads:
      return model.heads * model.head_dim;
    case Output::kv_heads:
      return model.kv_heads * model.head_dim;
    case Output::intermediate:
      return model.intermediate_size;
  }
  return 0;
}

class LayoutBuilder {
 public:
  explicit LayoutBuilder(const ModelDescription& model) : model_(model) {}

  ModelLayout build() {
    add_plain("model.embed_tokens.weight", {model_.vocab_size, model_.hidden_size}, -1);
    for (std::int64_t block = 0; block < model_.layers; ++block) add_block(block);
    add_plain("model.norm.weight", {model_.hidden_size}, model_.layers);
    add_group("head_in", model_.layers, model_.hidden_size);
    add_linear(
        {"lm_head", model_.hidden_size, model_.vocab_size, false, model_.layers, Role::head, 0});
    return std::move(layout_);
  }

 private:
  void add_block(std::int64_t block) {
    const std::string prefix = "model.layers." + std::to_string(block) + '.';
    add_plain(prefix + "input_layernorm.weight", {model_.hidden_size}, block);
    int group = -1;
    for (const LinearRule& rule : kLinearRules) {
      if (rule.group != group) {
        group = rule.group;
        add_group(prefix + std::string(kGroupNames[group]), block, input_size(model_, rule.input));
      }
      if (rule.role == Role::gate) {
        add_plain(prefix + "post_attention_layernorm.weight", {model_.hidden_size}, block);
      }
      add_linear({prefix + std::string(rule.name), input_size(model_, rule.input),
                  output_size(model_, rule.output), model_.*rule.bias, block, rule.role, 0});
      if (rule.role == Role::v && model_.qk_norm) {
        add_plain(prefix + "self_attn.q_norm.weight", {model_.head_dim}, block);
        add_plain(prefix + "self_attn.k_norm.weight", {model_.head_dim}, block);
      }
    }
  }

  void add_plain(std::string name, std::vector<std::int64_t> shape, std::int64_t block) {
    layout_.modules.push_back({ModuleRef::Kind::plain, std::ssize(layout_.plain_tensors)});
    layout_.plain_tensors.push_back({std::move(name), std::move(shape), block});
  }

  void add_group(std::string name, std::int64_t block, std::int64_t inputs) {
    layout_.groups.push_back({std::ssize(layout_.groups), std::move(name), block, inputs, {}});
  }

  // A linear layer belongs to the group added last.
  void add_linear(LinearLayer layer) {
    layer.group = layout_.groups.back().index;
    layout_.groups.back().layers.push_back(std::ssize(layout_.linear_layers));
    layout_.modules.push_back({ModuleRef::Kind::linear, std::ssize(layout_.linear_layers)});
    layout_.linear_layers.push_back(std::move(layer));
  }

  const ModelDescription& model_;
  ModelLayout layout_;
};

}  // namespace

ModelLayout lay_out_model(const ModelDescription& description) {
  return LayoutBuilder(description).build();
}

void require_quantizable(const ModelDescription& description, const ModelLayout& layout) {
  constexpr std::int64_t kMaxInputs = 65536;
  if (description.storage != Storage::plain) {
    fail(ExitCode::bad_data, "{}: the model is quantized already; start from an unquantized one",
         description.config_file);
  }
  for (const LinearLayer& layer : layout.linear_layers) {
    if (layer.inputs % 32 != 0 || layer.inputs > kMaxInputs) {
      fail(ExitCode::bad_data,
           "{}: {} has {} inputs; EXL2 stores only multiples of 32 up to {}, so this model cannot "
           "be "
           "quantized",
           description.config_file, layer.key, layer.inputs, kMaxInputs);
    }
  }
}

}  // namespace shardquant::model
