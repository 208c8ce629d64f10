#include "pipeline/model/model_layout.hpp"

#include <algorithm>
#include <map>
#include <numeric>

#include "pipeline/failure.hpp"

namespace shardquant::model {

namespace {

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));

/// Puts a model together from what its parts declare.
class LayoutBuilder final : private PartTensors {
 public:
  explicit LayoutBuilder(const ModelDescription& model) : model_(model) {}

  ModelLayout build() {
    layout_.embedding =
        add_plain("model.embed_tokens.weight", {model_.vocab_size, model_.hidden_size}, -1);
    for (std::int64_t block = 0; block < model_.layers; ++block) add_block(block);
    layout_.final_norm =
        add_plain("model.norm.weight", {model_.hidden_size}, model_.layers, model_.norm_shift);
    LinearLayer head;
    head.key = "lm_head";
    head.inputs = model_.hidden_size;
    head.outputs = model_.vocab_size;
    head.block = model_.layers;
    head.group = layout_.head_group = add_group("head_in", model_.layers, model_.hidden_size);
    head.is_head = true;
    layout_.head_layer = add_linear(std::move(head));
    return std::move(layout_);
  }

 private:
  void add_block(std::int64_t block) {
    block_index_ = block;
    block_ = {};
    block_.name = "model.layers." + std::to_string(block);
    groups_.clear();
    part_ = 0;
    for (const Branch& branch : model_.family->branches(model_, block)) {
      LaidOutBranch laid_out;
      laid_out.norm = vector(branch.norm, model_.hidden_size, model_.norm_shift);
      for (const std::shared_ptr<Part>& part : branch.parts) {
        part->declare(*this);
        laid_out.parts.push_back(part);
        ++part_;
      }
      if (!branch.norm_behind.empty()) {
        laid_out.norm_behind = vector(branch.norm_behind, model_.hidden_size, model_.norm_shift);
      }
      block_.branches.push_back(std::move(laid_out));
    }
    layout_.blocks.push_back(std::move(block_));
  }

  std::int64_t linear(const PartLinear& declared) override {
    auto [group, is_new] = groups_.try_emplace(declared.input, 0);
    if (is_new) {
      group->second = add_group(block_.name + '.' + declared.input, block_index_, declared.inputs);
    }
    if (layout_.groups[static_cast<std::size_t>(group->second)].inputs != declared.inputs) {
      fail(ExitCode::internal, "{}.{}: {} inputs where its input {} has others", block_.name,
           declared.name, declared.inputs, declared.input);
    }
    LinearLayer layer;
    layer.key = block_.name + '.' + declared.name;
    layer.inputs = declared.inputs;
    layer.outputs = declared.outputs;
    layer.has_bias = declared.has_bias;
    layer.block = block_index_;
    layer.part = part_;
    layer.group = group->second;
    layer.follows_biased = declared.follows_biased;
    block_.linear_layers.push_back(add_linear(std::move(layer)));
    return std::ssize(block_.linear_layers) - 1;
  }

  std::int64_t vector(const std::string& name, std::int64_t size, float shift) override {
    block_.vectors.push_back(add_plain(block_.name + '.' + name, {size}, block_index_, shift));
    return std::ssize(block_.vectors) - 1;
  }

  std::int64_t rope(const RopeSettings& settings, std::int64_t head_dim) override {
    const RopeSpec wanted{settings, head_dim};
    const auto found = std::find(layout_.ropes.begin(), layout_.ropes.end(), wanted);
    if (found == layout_.ropes.end()) {
      layout_.ropes.push_back(wanted);
      return std::ssize(layout_.ropes) - 1;
    }
    return found - layout_.ropes.begin();
  }

  std::int64_t add_plain(std::string name, std::vector<std::int64_t> shape, std::int64_t block,
                         float shift = 0.0f) {
    const std::int64_t index = std::ssize(layout_.plain_tensors);
    layout_.modules.push_back({ModuleRef::Kind::plain, index});
    layout_.plain_tensors.push_back({std::move(name), std::move(shape), block, shift});
    return index;
  }

  std::int64_t add_group(std::string name, std::int64_t block, std::int64_t inputs) {
    const std::int64_t index = std::ssize(layout_.groups);
    layout_.groups.push_back({index, std::move(name), block, inputs, {}});
    return index;
  }

  std::int64_t add_linear(LinearLayer layer) {
    const std::int64_t index = std::ssize(layout_.linear_layers);
    layout_.groups[static_cast<std::size_t>(layer.group)].layers.push_back(index);
    layout_.modules.push_back({ModuleRef::Kind::linear, index});
    layout_.linear_layers.push_back(std::move(layer));
    return index;
  }

  const ModelDescription& model_;
  ModelLayout layout_;
  BlockLayout block_;  // that is being put together
  std::int64_t block_index_ = 0;
  std::int64_t part_ = 0;                       // of the block
  std::map<std::string, std::int64_t> groups_;  // of the block, by tag
};

std::int64_t elements_of(const PlainTensor& tensor) {
  return std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1},
                         std::multiplies<>());
}

std::int64_t scratch_of(const BlockLayout& block, std::int64_t hidden_size) {
  std::int64_t most = 0;
  for (const LaidOutBranch& branch : block.branches) {
    const std::int64_t outputs = branch.parts.size() > 1 ? hidden_size : 0;
    for (const auto& part : branch.parts) {
      most = std::max(most, hidden_size + outputs + part->scratch_floats());
    }
  }
  return most;
}

}  // namespace

std::int64_t ModelLayout::block_parameters() const {
  std::int64_t sum = 0;
  for (const LinearLayer& layer : linear_layers) sum += layer.is_head ? 0 : layer.parameters();
  return sum;
}

std::int64_t ModelLayout::block_weight_bytes() const {
  std::int64_t most = 0;
  for (const BlockLayout& block : blocks) {
    std::int64_t floats = 0;
    for (const std::int64_t index : block.linear_layers) {
      const LinearLayer& layer = linear_layers[static_cast<std::size_t>(index)];
      floats += layer.parameters() + (layer.has_bias ? layer.outputs : 0);
    }
    for (const std::int64_t index : block.vectors) {
      floats += elements_of(plain_tensors[static_cast<std::size_t>(index)]);
    }
    most = std::max(most, floats);
  }
  return most * kFloatBytes;
}

std::int64_t ModelLayout::scratch_floats() const {
  const std::int64_t hidden_size = head().inputs;
  std::int64_t most = 0;
  for (const BlockLayout& block : blocks) most = std::max(most, scratch_of(block, hidden_size));
  return most;
}

double ModelLayout::part_operations(std::int64_t block, std::int64_t length) const {
  double sum = 0.0;
  if (block >= std::ssize(blocks)) return sum;
  for (const LaidOutBranch& branch : blocks[static_cast<std::size_t>(block)].branches) {
    for (const auto& part : branch.parts) sum += part->operations(length);
  }
  return sum;
}

std::int64_t ModelLayout::most_groups_of_block() const {
  std::map<std::int64_t, std::int64_t> counts;
  for (const HessianGroup& group : groups) ++counts[group.block];
  std::int64_t most = 0;
  for (const auto& [block, count] : counts) most = std::max(most, count);
  return most;
}

ModelLayout lay_out_model(const ModelDescription& description) {
  ModelLayout layout = LayoutBuilder(description).build();
  for (LinearLayer& layer : layout.linear_layers) layer.dtype = description.dtype();
  return layout;
}

}  // namespace shardquant::model
