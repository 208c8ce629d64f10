#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "pipeline/formats/safetensors_writer.hpp"
#include "pipeline/formats/weights/compressed_tensors/pack_quantized_reader.hpp"
#include "tests/support/random_packed.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/formats/expect_refusal.hpp"
#include "tests/unit/formats/safetensors_bytes.hpp"

namespace shardquant::compressed_tensors {
namespace {

using tests::RandomPacked;

const std::string kKey = "model.layers.0.mlp.up_proj";

// Tensors of one layer by their last name, open to damage.
class Stored {
 public:
  explicit Stored(const PackQuantizedLayer& layer) {
    tensors_ = pack_quantized_tensors(layer.spec);
    for (const auto& bytes : pack_quantized_bytes(layer)) {
      bytes_.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
  }

  void remove(const std::string& name) {
    const auto i = index(name);
    tensors_.erase(tensors_.begin() + i);
    bytes_.erase(bytes_.begin() + i);
  }
  void add(const std::string& name, formats::Dtype dtype, std::vector<std::int64_t> shape) {
    tensors_.push_back({kKey + '.' + name, dtype, std::move(shape)});
    bytes_.emplace_back(tensors_.back().bytes(), '\0');
  }
  void change(const std::string& name, formats::Dtype dtype, std::vector<std::int64_t> shape) {
    formats::TensorSpec& tensor = tensors_[index(name)];
    tensor.dtype = dtype;
    tensor.shape = std::move(shape);
    bytes_[index(name)].resize(tensor.bytes());
  }
  template <class T>
  void set(const std::string& name, std::int64_t place, T value) {
    std::memcpy(bytes_[index(name)].data() + place * static_cast<std::int64_t>(sizeof(T)), &value,
                sizeof(T));
  }
  void write(const std::filesystem::path& path) const {
    const formats::SafetensorsLayout layout = formats::lay_out_safetensors(tensors_);
    std::string file(layout.file_bytes, '\0');
    layout.header.copy(file.data(), layout.header.size());
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      bytes_[i].copy(file.data() + layout.offsets[i], bytes_[i].size());
    }
    tests::write_bytes(path, file);
  }

 private:
  std::ptrdiff_t index(const std::string& name) const {
    const auto place =
        std::find_if(tensors_.begin(), tensors_.end(),
                     [&](const formats::TensorSpec& t) { return t.name == kKey + '.' + name; });
    return place - tensors_.begin();
  }

  std::vector<formats::TensorSpec> tensors_;
  std::vector<std::string> bytes_;
};

class PackQuantizedReader : public ::testing::Test {
 protected:
  // 44 outputs of 3 bits end 28 bits before a word, 100 inputs 20 bits before.
  PackQuantizedSpec spec(bool symmetric) const {
    return {kKey, 44, 100, {3, 50, symmetric}, formats::Dtype::bf16};
  }
  PackQuantizedLayer layer(bool symmetric) { return RandomPacked(spec(symmetric), random_).pack(); }
  PackQuantizedLayer read(const Stored& stored, const PackQuantizedSpec& wanted) {
    stored.write(temp_.path() / "model.safetensors");
    return read_pack_quantized_layer(formats::SafetensorsFolder(temp_.path()), wanted);
  }
  void expect_refused(const std::string& tensor, const std::string& reason,
                      const std::function<void(Stored&)>& damage, bool symmetric = false) {
    Stored stored(layer(symmetric));
    damage(stored);
    SCOPED_TRACE(tensor + ": " + reason);
    tests::expect_refusal([&] { read(stored, spec(symmetric)); }, ExitCode::bad_data,
                          {kKey + '.' + tensor, reason});
  }

 private:
  std::mt19937 random_{11};
  tests::TempDirectory temp_;
};

TEST_F(PackQuantizedReader, ReadsWhatWasPacked) {
  for (const bool symmetric : {false, true}) {
    const PackQuantizedLayer packed = layer(symmetric);
    const PackQuantizedLayer found = read(Stored(packed), spec(symmetric));
    EXPECT_EQ(found.weight_packed, packed.weight_packed);
    EXPECT_EQ(found.weight_scale, packed.weight_scale);
    EXPECT_EQ(found.weight_shape, packed.weight_shape);
    EXPECT_EQ(found.weight_zero_point, packed.weight_zero_point);
  }
}

TEST_F(PackQuantizedReader, KnowsItsLayers) {
  tests::TempDirectory folder;
  Stored(layer(true)).write(folder.path() / "model.safetensors");
  const formats::SafetensorsFolder opened(folder.path());
  EXPECT_TRUE(is_pack_quantized_layer(opened, kKey));
  EXPECT_FALSE(is_pack_quantized_layer(opened, "lm_head"));
}

TEST_F(PackQuantizedReader, RefusesWrongTensors) {
  for (const char* name : {"weight_packed", "weight_scale", "weight_shape", "weight_zero_point"}) {
    expect_refused(name, "is missing", [&](Stored& s) { s.remove(name); });
  }
  const auto change = [](const std::string& name, formats::Dtype dtype,
                         std::vector<std::int64_t> shape) {
    return [=](Stored& s) { s.change(name, dtype, shape); };
  };
  expect_refused("weight_packed", "wanted is I32",
                 change("weight_packed", formats::Dtype::u32, {44, 10}));
  expect_refused("weight_packed", "[44, 10]",
                 change("weight_packed", formats::Dtype::i32, {44, 9}));
  expect_refused("weight_packed", "[44, 10]",
                 change("weight_packed", formats::Dtype::i32, {10, 44}));
  expect_refused("weight_packed", "dimensions",
                 change("weight_packed", formats::Dtype::i32, {440}));
  expect_refused("weight_scale", "wanted is BF16",
                 change("weight_scale", formats::Dtype::f16, {44, 2}));
  expect_refused("weight_scale", "[44, 2]", change("weight_scale", formats::Dtype::bf16, {44, 1}));
  expect_refused("weight_shape", "wanted is I64", change("weight_shape", formats::Dtype::i32, {2}));
  expect_refused("weight_shape", "wanted is I64 [2]",
                 change("weight_shape", formats::Dtype::i64, {3}));
  expect_refused("weight_zero_point", "wanted is I32",
                 change("weight_zero_point", formats::Dtype::i64, {5, 2}));
  expect_refused("weight_zero_point", "[5, 2]",
                 change("weight_zero_point", formats::Dtype::i32, {2, 5}));
  expect_refused("weight", "beside the packed layer", [](Stored& s) {
    s.add("weight", formats::Dtype::bf16, {44, 100});
  });
  expect_refused("weight_g_idx", "column order",
                 [](Stored& s) { s.add("weight_g_idx", formats::Dtype::i32, {100}); });
  expect_refused(
      "weight_zero_point", "in a symmetric scheme",
      [](Stored& s) {
        s.add("weight_zero_point", formats::Dtype::i32, {5, 2});
      },
      true);
}

TEST_F(PackQuantizedReader, RefusesWrongValues) {
  expect_refused("weight_shape", "says [44, 101]",
                 [](Stored& s) { s.set<std::int64_t>("weight_shape", 1, 101); });
  expect_refused("weight_shape", "says [-1, 100]",
                 [](Stored& s) { s.set<std::int64_t>("weight_shape", 0, -1); });
  for (const std::uint16_t bits : std::initializer_list<std::uint16_t>{0x7f80, 0xff80, 0x7fc0}) {
    expect_refused("weight_scale", "output 43, group 1 is not finite",
                   [&](Stored& s) { s.set<std::uint16_t>("weight_scale", 87, bits); });
  }
  expect_refused("weight_packed", "output 3: bits after the last code",
                 [](Stored& s) { s.set<std::uint32_t>("weight_packed", 3 * 10 + 9, 1u << 12); });
  expect_refused("weight_zero_point", "group 1: bits after the last zero point",
                 [](Stored& s) { s.set<std::uint32_t>("weight_zero_point", 4 * 2 + 1, 1u << 4); });
}

TEST_F(PackQuantizedReader, RefusesGroupsThatDoNotFillTheInputs) {
  PackQuantizedSpec wanted = spec(false);
  wanted.scheme.group = 64;
  tests::expect_refusal([&] { read(Stored(layer(false)), wanted); }, ExitCode::bad_data,
                        {kKey + ".weight_scale", "100 inputs are no multiple of the group of 64"});
}

}  // namespace
}  // namespace shardquant::compressed_tensors
