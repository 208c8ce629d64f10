#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/api/quantizer_types.hpp"
#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/formats/weights/layer_shape.hpp"
#include "pipeline/formats/weights/stored_layer.hpp"
#include "pipeline/records/measurement_file.hpp"

namespace shardquant::weights {

/// Bits of a head that is not quantized.
inline constexpr int kPlainHeadBits = 16;

/// What people are told of a format, in the card of a model.
struct FormatCard {
  std::string title;  ///< "EXL2"
  std::string tag;    ///< of the card's front matter
  /// Programs that load it, each with what the table says of their versions.
  std::vector<std::pair<std::string, std::string>> loaders;
};

/// An option for the output head: how many bits it stands for in the setting allocate.head_bits.
struct HeadOption {
  int bits = 0;
  std::int64_t option = 0;
};

/// A layer and its option; none: it is not quantized.
struct LayerChoice {
  LayerShape layer;
  std::optional<std::int64_t> option;
};

/// A field of config.json as a format's reader takes it; values as JSON text.
struct ReaderField {
  std::string name;
  std::string value;          ///< what it has to find: what the program computed with
  std::string default_value;  ///< what it takes where the field is missing or null
};

/// What config.json says of a quantization.
struct QuantizationEntry {
  double bits = 0.0;  ///< bits per weight of the layers of the blocks, as the measurement counts
  int head_bits = 0;
  std::int64_t calibration_rows = 0;
  std::int64_t calibration_length = 0;
  std::string calibration_dataset;  ///< base name of the file, or "(default)"
  std::vector<LayerChoice> layers;  ///< all linear layers
  std::vector<ReaderField> reader_fields = {};
};

/// What comes out of the sweep of a layer.
struct QuantizedWeight {
  const kernels::QuantizedMatrix& matrix;  ///< [inputs, outputs], rows in the order of `perm`
  std::span<const std::int32_t> perm;      ///< [inputs] perm[k] = input of row k
  std::span<const std::byte> bias;         ///< [outputs] of WeightFormat::plain_dtype, or empty
};

/// A quantized layer of a folder, told from its headers and lists of groups alone.
struct StoredSummary {
  std::int64_t bits = 0;  ///< as StoredLayer::stored_bits
  std::string text;       ///< for people
};

/// A form in which quantized weights are stored: which options there are, what each of them is to
/// the sweep and in the files. An option has one identity, its index in the format's table, from
/// the table to the plan; its text is for people and files. Options of the head follow those that
/// are measured. Stateless: all calls are const, pure but for those that read a folder, and may
/// come from several threads.
class WeightFormat {
 public:
  virtual ~WeightFormat() = default;

  /// Its name in the setting output.format, and as quant_method of config.json.
  virtual std::string_view name() const = 0;
  virtual FormatCard card() const = 0;

  /// The same format with asymmetric options behind the symmetric ones; null where it has none.
  virtual const WeightFormat* with_asymmetric() const { return nullptr; }

  // Options

  /// Options [0, option_count) are tried on every layer of the blocks.
  virtual std::int64_t option_count() const = 0;
  /// Options of the output head, by bits ascending; they need not be among those measured.
  virtual std::span<const HeadOption> head_options() const = 0;
  /// Bits of a head for which the job asks none.
  virtual int default_head_bits() const { return kPlainHeadBits; }
  /// An option in measurement and plan files: `desc`, unique among those measured.
  virtual std::string option_text(std::int64_t option) const = 0;
  /// The same as the recipe of the 2023 measurement file.
  virtual records::QParams option_recipe(std::int64_t option) const = 0;
  /// What the option is to the sweep; none where it does not exist for the layer.
  virtual std::optional<kernels::WeightRecipe> recipe(std::int64_t option,
                                                      const LayerShape& layer) const = 0;

  // What a format demands of a model, asked before any work

  /// What keeps the format from storing this layer, with any option, as the rest of a sentence that
  /// begins with the layer's key; empty where nothing does.
  virtual std::string layer_fault(const LayerShape& layer) const = 0;
  /// Why no reader of the format loads a model of this architecture ("LlamaForCausalLM"), as a
  /// sentence; empty where one does.
  virtual std::string family_fault(std::string_view architecture) const = 0;
  /// Layers that must share one option. sets: layers that see the same input, by any numbers; what
  /// is returned are sets of those numbers.
  virtual std::vector<std::vector<std::int64_t>> ties(
      std::span<const std::vector<std::int64_t>> sets) const;
  /// Whether the layer, and all with its input, have to keep their inputs in the model's order.
  virtual bool keeps_input_order(const LayerShape& layer) const;

  // Sizes and bytes. @pre the option exists for the layer

  /// The tensors of a layer, in the order in which they lie in the files; a bias among them.
  virtual std::vector<formats::TensorSpec> tensors(std::int64_t option,
                                                   const LayerShape& layer) const = 0;
  /// Bits of a layer as measurement and budget count them.
  virtual std::int64_t counted_bits(std::int64_t option, const LayerShape& layer) const = 0;
  /// Bits of its tensors on disk, the bias left out.
  virtual std::int64_t stored_bits(std::int64_t option, const LayerShape& layer) const = 0;
  /// @throws Failure(internal) where parts do not fit each other or the option
  virtual std::unique_ptr<StoredLayer> pack(std::int64_t option, const LayerShape& layer,
                                            const QuantizedWeight& weight) const = 0;
  /// Type of tensors that are not quantized, and of biases; model: what the model is kept in.
  virtual formats::Dtype plain_dtype(formats::Dtype model) const = 0;
  /// Text of the output's config.json, from the source's; `file` names that in messages.
  /// @throws Failure(bad_data) where the text is no JSON object
  virtual std::string config_text(std::string_view source, const std::string& file,
                                  const QuantizationEntry& entry) const = 0;

  // Folders of this format. @throws Failure(bad_data) naming folder, tensor and what is wrong

  /// Whether the folder has this layer quantized.
  virtual bool holds(const formats::SafetensorsFolder& folder, const std::string& key) const = 0;
  /// Names of all tensors that such a layer may have.
  virtual std::vector<std::string> tensor_names(const std::string& key) const = 0;
  virtual StoredSummary summarize(const formats::SafetensorsFolder& folder,
                                  const LayerShape& layer) const = 0;
  /// Reads a layer whole and checks all that its readers rely on.
  virtual std::unique_ptr<StoredLayer> read(const formats::SafetensorsFolder& folder,
                                            const LayerShape& layer) const = 0;
};

/// The option for a head of so many bits; none for kPlainHeadBits.
/// @throws Failure(config) naming what there is
std::optional<std::int64_t> head_option(const WeightFormat& format, std::int64_t bits);

/// The measured option of that text: how options of files get their identity.
std::optional<std::int64_t> option_of_text(const WeightFormat& format, std::string_view text);

/// The measured options that exist for a layer, ascending.
std::vector<std::int64_t> existing_options(const WeightFormat& format, const LayerShape& layer);

}  // namespace shardquant::weights
