#include "pipeline/model/model_tensors.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/api/half_types.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/float_elements.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::model {

namespace {

using formats::Dtype;
using formats::SafetensorsFolder;
using formats::TensorInfo;

constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
constexpr std::string_view kHead = "lm_head.weight";
constexpr std::string_view kRotaryBuffer = ".rotary_emb.inv_freq";

bool is_floating(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f16 || dtype == Dtype::bf16;
}

// Collects faults, so that one message names them all.
class TensorCheck {
 public:
  TensorCheck(const SafetensorsFolder& folder, const ModelDescription& model)
      : folder_(folder), model_(model) {}

  void expect(const std::string& name, const std::vector<std::int64_t>& shape) {
    expected_.push_back(name);
    const TensorInfo* tensor = folder_.find(name);
    if (tensor == nullptr) {
      const auto absent = folder_.absent().find(name);
      missing_.push_back(formats::json_quote(name));
      if (absent != folder_.absent().end()) {
        missing_.back() +=
            fmt::format(" (the index places it in {}, which lacks it)", absent->second);
      }
    } else if (tensor->shape != shape || !is_floating(tensor->dtype)) {
      odd_.push_back(fmt::format("{} is {}, wanted is F32, F16 or BF16 {}",
                                 formats::json_quote(name),
                                 formats::describe_tensor(tensor->dtype, tensor->shape),
                                 formats::describe_tensor(Dtype::f16, shape).substr(4)));
    }
  }
  // For tensors whose shape is checked elsewhere, or that do no harm.
  void allow(const std::string& name) { expected_.push_back(name); }

  void finish() {
    std::sort(expected_.begin(), expected_.end());
    std::vector<std::string> unexpected;
    for (const std::string& name : folder_.names()) {
      if (std::binary_search(expected_.begin(), expected_.end(), name)) continue;
      if (!name.ends_with(kRotaryBuffer)) unexpected.push_back(formats::json_quote(name));
    }
    if (!missing_.empty() || !odd_.empty()) refuse_quantized();
    refuse(missing_, "missing: {}; " + remedy());
    refuse(odd_, "{}");
    refuse(unexpected, "not part of the architecture in config.json: {}");
  }

 private:
  void refuse_quantized() const {
    if (model_.quantization.empty() || model_.stored_format != nullptr) return;
    fail(ExitCode::bad_data,
         "{}: weights quantized with {} (quantization_config) are not supported; start from an "
         "unquantized model",
         folder_.path().string(), formats::json_quote(model_.quantization));
  }

  // What most likely is wrong, by what is there.
  std::string remedy() const {
    const auto is_there = [&](const std::string& name) { return folder_.find(name) != nullptr; };
    if (std::none_of(expected_.begin(), expected_.end(), is_there)) {
      return "none of the tensors of the architecture in config.json is there; is it the right "
             "one?";
    }
    if (missing_.size() == 1 && missing_.front() == formats::json_quote(kHead)) {
      return "a model without a head predicts nothing; save it by its class for causal language "
             "modelling, or set tie_word_embeddings in config.json where its head is the embedding";
    }
    return "is a file of weights missing, or was the download cut short?";
  }

  void refuse(const std::vector<std::string>& faults, const std::string& text) const {
    constexpr std::size_t kShown = 5;
    if (faults.empty()) return;
    const std::vector<std::string> shown(faults.begin(),
                                         faults.begin() + std::min(kShown, faults.size()));
    std::string list = fmt::format("{}", fmt::join(shown, ", "));
    if (faults.size() > kShown) list += fmt::format(" and {} more", faults.size() - kShown);
    fail(ExitCode::bad_data, "{}: {}", folder_.path().string(),
         fmt::vformat(text, fmt::make_format_args(list)));
  }

  const SafetensorsFolder& folder_;
  const ModelDescription& model_;
  std::vector<std::string> expected_;
  std::vector<std::string> missing_;
  std::vector<std::string> odd_;
};

// The tensor that stands for the embedding: with tied embeddings either of the two may be stored.
std::string embedding_name(const ModelDescription& model, const SafetensorsFolder& folder) {
  const bool only_head = folder.find(kEmbedding) == nullptr && folder.find(kHead) != nullptr;
  return std::string(model.tie_word_embeddings && only_head ? kHead : kEmbedding);
}

// The same for the head. One that is stored counts, also beside tied embeddings: it may have been
// trained on its own, and what does not differ from the embedding may as well be read there.
std::string head_name(const ModelDescription& model, const SafetensorsFolder& folder,
                      const std::string& embedding) {
  const bool is_stored = folder.find(kHead) != nullptr;
  return model.tie_word_embeddings && !is_stored ? embedding : std::string(kHead);
}

// "[ROW, COLUMN]" in a matrix, "[INDEX]" otherwise.
std::string place_text(const TensorInfo& tensor, std::int64_t index) {
  if (tensor.shape.size() != 2) return fmt::format("[{}]", index);
  return fmt::format("[{}, {}]", index / tensor.shape[1], index % tensor.shape[1]);
}

// Calls store(index, value) for `count` elements from `offset` on, in blocks. Index and count of
// values that are not finite end in a message.
template <class Store>
void read_elements(const SafetensorsFolder& folder, const std::string& name, std::int64_t offset,
                   std::int64_t count, Store store) {
  constexpr std::int64_t kBlock = 1 << 18;
  const TensorInfo& tensor = folder.at(name);
  if (!is_floating(tensor.dtype)) {
    fail(ExitCode::bad_data, "{}: tensor {} is {}; wanted is F32, F16 or BF16",
         folder.path().string(), formats::json_quote(name),
         formats::describe_tensor(tensor.dtype, tensor.shape));
  }
  const std::int64_t width = formats::dtype_bytes(tensor.dtype);
  std::vector<std::byte> block(std::min(kBlock, count) * width);
  std::int64_t bad = 0;
  std::int64_t first_bad = 0;
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t size = std::min(kBlock, count - begin);
    folder.read(name, (offset + begin) * width, std::span(block).first(size * width));
    for (std::int64_t i = 0; i < size; ++i) {
      const float value = float_element(block.data(), tensor.dtype, i);
      if (!std::isfinite(value) && bad++ == 0) first_bad = offset + begin + i;
      store(begin + i, value);
    }
  }
  if (bad > 0) {
    fail(ExitCode::bad_data, "{}: tensor {}: {} values are NaN or infinite, the first at {}",
         folder.file_of(name).name(), formats::json_quote(name), bad,
         place_text(tensor, first_bad));
  }
}

}  // namespace

ModelTensors::ModelTensors(const ModelDescription& description, const ModelLayout& layout,
                           const formats::SafetensorsFolder& folder)
    : folder_(&folder), stored_format_(description.stored_format) {
  const std::string embedding = embedding_name(description, folder);
  TensorCheck check(folder, description);
  for (const PlainTensor& tensor : layout.plain_tensors) {
    plain_.push_back(tensor.name == kEmbedding ? embedding : tensor.name);
    check.expect(plain_.back(), tensor.shape);
  }
  for (const LinearLayer& layer : layout.linear_layers) {
    if (stored_format_ != nullptr && stored_format_->holds(folder, layer.key)) {
      weights_.emplace_back();
      for (const std::string& name : stored_format_->tensor_names(layer.key)) check.allow(name);
      continue;
    }
    weights_.push_back(layer.is_head ? head_name(description, folder, embedding)
                                     : layer.key + ".weight");
    check.expect(weights_.back(), {layer.outputs, layer.inputs});
    if (layer.has_bias) check.expect(layer.key + ".bias", {layer.outputs});
  }
  refuse_partly_quantized(layout);
  has_own_head_ = description.tie_word_embeddings && weights_.back() != embedding;
  check.finish();
}

bool ModelTensors::has_quantized() const {
  return std::any_of(weights_.begin(), weights_.end(),
                     [](const std::string& name) { return name.empty(); });
}

formats::SafetensorsFolder open_weights(const std::filesystem::path& path,
                                        formats::LinkPolicy links) {
  constexpr std::string_view kPrefix = "model.";
  constexpr std::array<std::string_view, 1> kKept = {"lm_head."};
  formats::SafetensorsFolder folder(path, links);
  const std::string bare(kEmbedding.substr(kPrefix.size()));
  if (folder.find(kEmbedding) == nullptr && folder.find(bare) != nullptr) {
    folder.add_prefix(kPrefix, kKept);
  }
  return folder;
}

// The reader takes the layers of a part (q, k, v, o; gate, up, down) quantized together or not at
// all.
void ModelTensors::refuse_partly_quantized(const ModelLayout& layout) const {
  std::int64_t first = 0;  // of the part
  for (std::int64_t i = 0; i < layout.block_layers(); ++i) {
    const LinearLayer& layer = layout.linear_layers[static_cast<std::size_t>(i)];
    const LinearLayer& begun = layout.linear_layers[static_cast<std::size_t>(first)];
    if (layer.block != begun.block || layer.part != begun.part) first = i;
    if (is_quantized(i) == is_quantized(first)) continue;
    fail(ExitCode::bad_data,
         "{}: of {} and {} only one is quantized; the reader wants both or none",
         folder_->path().string(), layout.linear_layers[first].key, layout.linear_layers[i].key);
  }
}

void read_floats(const formats::SafetensorsFolder& folder, const std::string& name,
                 std::int64_t offset, std::span<float> out) {
  read_elements(folder, name, offset, std::ssize(out),
                [&](std::int64_t i, float value) { out[i] = value; });
}

void read_halves(const formats::SafetensorsFolder& folder, const std::string& name,
                 std::int64_t offset, std::span<std::uint16_t> out) {
  constexpr std::uint16_t kInfinity = 0x7c00;
  std::int64_t bad = 0;
  std::int64_t first_bad = 0;
  read_elements(folder, name, offset, std::ssize(out), [&](std::int64_t i, float value) {
    out[i] = kernels::to_half(value).bits;
    if ((out[i] & 0x7fffu) == kInfinity && bad++ == 0) first_bad = i;
  });
  if (bad > 0) {
    fail(ExitCode::bad_data,
         "{}: tensor {}: {} values are beyond fp16 (65504), in which the output stores it, the "
         "first at {}",
         folder.file_of(name).name(), formats::json_quote(name), bad,
         place_text(folder.at(name), offset + first_bad));
  }
}

void read_as(const SafetensorsFolder& folder, const std::string& name, Dtype dtype,
             std::int64_t offset, std::span<std::byte> out) {
  const std::size_t count = out.size() / static_cast<std::size_t>(formats::dtype_bytes(dtype));
  switch (dtype) {
    case Dtype::f16: {
      std::vector<std::uint16_t> halves(count);
      read_halves(folder, name, offset, halves);
      std::memcpy(out.data(), halves.data(), out.size());
      return;
    }
    case Dtype::bf16:
      read_elements(folder, name, offset, static_cast<std::int64_t>(count),
                    [&](std::int64_t i, float value) {
                      const std::uint16_t bits = kernels::to_bfloat(value).bits;
                      std::memcpy(out.data() + 2 * i, &bits, sizeof bits);
                    });
      return;
    case Dtype::f32:
      read_elements(folder, name, offset, static_cast<std::int64_t>(count),
                    [&](std::int64_t i, float value) {
                      std::memcpy(out.data() + 4 * i, &value, sizeof value);
                    });
      return;
    default:
      fail(ExitCode::internal, "{}: weights are stored as F16, BF16 or F32, not {}", name,
           formats::dtype_name(dtype));
  }
}

}  // namespace shardquant::model
