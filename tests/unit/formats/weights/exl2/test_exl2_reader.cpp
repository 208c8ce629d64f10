#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <numeric>

#include "pipeline/formats/safetensors_writer.hpp"
#include "pipeline/formats/weights/exl2/exl2_reader.hpp"
#include "pipeline/formats/weights/exl2/exl2_rules.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/formats/safetensors_bytes.hpp"

namespace shardquant::exl2 {
namespace {

using kernels::RowGroup;
using ::testing::AllOf;
using ::testing::HasSubstr;
using tests::outcome_of;

constexpr std::int64_t kInputs = 256;
constexpr std::int64_t kOutputs = 40;  // 64 padded
const std::string kKey = "model.layers.0.mlp.up_proj";

// Tensors of a folder by their last name, open to damage.
class Stored {
 public:
  explicit Stored(const Exl2Layer& layer) {
    const auto specs = exl2_tensor_specs(layer.key, layer.inputs, layer.outputs, layer.groups,
                                         !layer.bias.empty());
    const auto bytes = exl2_tensor_bytes(layer);
    for (std::size_t i = 0; i < specs.size(); ++i) {
      specs_.push_back(specs[i]);
      bytes_.emplace_back(reinterpret_cast<const char*>(bytes[i].data()), bytes[i].size());
    }
  }

  formats::TensorSpec& spec(const std::string& name) { return specs_[index(name)]; }
  void remove(const std::string& name) {
    const auto i = index(name);
    specs_.erase(specs_.begin() + i);
    bytes_.erase(bytes_.begin() + i);
  }
  void add(const std::string& name, formats::Dtype dtype, std::vector<std::int64_t> shape) {
    specs_.push_back({kKey + '.' + name, dtype, std::move(shape)});
    bytes_.emplace_back(specs_.back().bytes(), '\0');
  }
  // Makes the bytes follow a changed shape or type.
  void resize(const std::string& name) { bytes_[index(name)].resize(spec(name).bytes()); }
  template <class T>
  void set(const std::string& name, std::int64_t place, T value) {
    std::memcpy(bytes_[index(name)].data() + place * static_cast<std::int64_t>(sizeof(T)), &value,
                sizeof(T));
  }
  void write(const std::filesystem::path& path) const {
    const formats::SafetensorsLayout layout = formats::lay_out_safetensors(specs_);
    std::string file(layout.file_bytes, '\0');
    layout.header.copy(file.data(), layout.header.size());
    for (std::size_t i = 0; i < specs_.size(); ++i) {
      bytes_[i].copy(file.data() + layout.offsets[i], bytes_[i].size());
    }
    tests::write_bytes(path, file);
  }

 private:
  std::ptrdiff_t index(const std::string& name) const {
    const auto place = std::find_if(
        specs_.begin(), specs_.end(),
        [&](const formats::TensorSpec& spec) { return spec.name == kKey + '.' + name; });
    return place - specs_.begin();
  }

  std::vector<formats::TensorSpec> specs_;
  std::vector<std::string> bytes_;
};

// 4 4 3 3 bits in groups of 64 rows: packed rows begin at 0 8 16 22, 28 in all.
Exl2Layer good_layer(bool has_bias) {
  const std::vector<RowGroup> groups = {{0, 64, 4}, {64, 64, 4}, {128, 64, 3}, {192, 64, 3}};
  std::vector<std::uint8_t> codes(kInputs * kOutputs);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(i % 8);
  std::vector<std::int32_t> perm(kInputs);
  for (std::int64_t k = 0; k < kInputs; ++k) perm[k] = static_cast<std::int32_t>(k * 77 % kInputs);
  kernels::QuantizedMatrix matrix;
  matrix.groups = groups;
  matrix.codes = codes;
  matrix.scale_codes.assign(4 * kOutputs, 5);
  matrix.scale_max.assign(4, 0x2000);
  return pack_exl2_layer({kKey, kInputs, kOutputs, has_bias}, matrix, perm,
                         std::vector<std::uint16_t>(has_bias ? kOutputs : 0, 0x3c00));
}

class Exl2Reader : public ::testing::Test {
 protected:
  Exl2Layer read(const Stored& stored, bool has_bias) {
    stored.write(temp_.path() / "model.safetensors");
    return read_exl2_layer(formats::SafetensorsFolder(temp_.path()), kKey, kInputs, kOutputs,
                           has_bias);
  }
  void expect_refused(const std::string& tensor, const std::string& reason,
                      const std::function<void(Stored&)>& damage, bool has_bias = true,
                      int line = __builtin_LINE()) {
    Stored stored(good_layer(true));
    damage(stored);
    const auto outcome = outcome_of([&] { read(stored, has_bias); });
    EXPECT_EQ(outcome.code, ExitCode::bad_data) << "line " << line;
    EXPECT_THAT(outcome.text, AllOf(HasSubstr(kKey + '.' + tensor), HasSubstr(reason)))
        << "line " << line;
    ++refused_;
  }

  int refused_ = 0;

 private:
  tests::TempDirectory temp_;
};

TEST_F(Exl2Reader, ReadsWhatWasPacked) {
  for (const bool has_bias : {false, true}) {
    const Exl2Layer packed = good_layer(has_bias);
    const Exl2Layer layer = read(Stored(packed), has_bias);
    EXPECT_EQ(layer.groups, packed.groups);
    EXPECT_EQ(layer.q_weight, packed.q_weight);
    EXPECT_EQ(layer.q_scale, packed.q_scale);
    EXPECT_EQ(layer.q_scale_max, packed.q_scale_max);
    EXPECT_EQ(layer.q_groups, packed.q_groups);
    EXPECT_EQ(layer.q_invperm, packed.q_invperm);
    EXPECT_EQ(layer.bias, packed.bias);
  }
  // Written by other tools, never used by the loader.
  Stored stored(good_layer(true));
  stored.add("q_perm", formats::Dtype::i16, {kInputs});
  read(stored, true);
}

// EXL2-RULES: 40 bad layers.
TEST_F(Exl2Reader, RefusesEveryBreach) {
  const auto shape = [](const std::string& name, std::vector<std::int64_t> dimensions) {
    return [=](Stored& s) {
      s.spec(name).shape = dimensions;
      s.resize(name);
    };
  };
  const auto dtype = [](const std::string& name, formats::Dtype type) {
    return [=](Stored& s) {
      s.spec(name).dtype = type;
      s.resize(name);
    };
  };
  const auto groups = [](std::vector<std::int16_t> numbers) {
    return [=](Stored& s) {
      s.spec("q_groups").shape = {std::ssize(numbers)};
      s.resize("q_groups");
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        s.set<std::int16_t>("q_groups", static_cast<std::int64_t>(i), numbers[i]);
      }
    };
  };
  const auto invperm = [](std::int64_t place, std::int32_t value) {
    return [=](Stored& s) { s.set<std::int32_t>("q_invperm", place, value); };
  };
  const auto scale_max = [](std::uint16_t bits) {
    return [=](Stored& s) { s.set<std::uint16_t>("q_scale_max", 2, bits); };
  };
  for (const char* name : {"q_weight", "q_scale", "q_scale_max", "q_groups", "q_invperm", "bias"}) {
    expect_refused(name, "is missing", [&](Stored& s) { s.remove(name); });
  }
  expect_refused("q_weight", "wanted is I32", dtype("q_weight", formats::Dtype::u32));
  expect_refused("q_scale", "wanted is I32", dtype("q_scale", formats::Dtype::f32));
  expect_refused("q_scale_max", "wanted is F16", dtype("q_scale_max", formats::Dtype::bf16));
  expect_refused("q_groups", "wanted is I16", dtype("q_groups", formats::Dtype::u16));
  expect_refused("q_invperm", "wanted is I32", dtype("q_invperm", formats::Dtype::i16));
  expect_refused("bias", "wanted is F16", dtype("bias", formats::Dtype::f32));
  expect_refused("q_weight", "dimensions", shape("q_weight", {28 * 64}));
  expect_refused("q_weight", "wanted is I32 [28, 64]", shape("q_weight", {28, 40}));
  expect_refused("q_groups", "", shape("q_weight", {29, 64}));
  expect_refused("q_weight", "R4: 32768 packed rows", shape("q_weight", {32768, 1}));
  expect_refused("q_scale", "wanted is I32 [4, 8]", shape("q_scale", {4, 5}));
  expect_refused("q_scale", "wanted is I32 [4, 8]", shape("q_scale", {5, 8}));
  expect_refused("q_scale_max", "wanted is F16 [4]", shape("q_scale_max", {5}));
  expect_refused("q_invperm", "wanted is I32 [256]", shape("q_invperm", {255}));
  expect_refused("bias", "wanted is F16 [64]", shape("bias", {40}));
  expect_refused("q_groups", "no list of pairs", shape("q_groups", {7}));
  expect_refused("q_groups", "no list of pairs", shape("q_groups", {0}));
  expect_refused(
      "bias", "where the architecture has none", [](Stored&) {}, false);
  expect_refused("weight", "beside the quantized layer", [](Stored& s) {
    s.add("weight", formats::Dtype::f16, {kOutputs, kInputs});
  });

  expect_refused("q_groups", "R1", groups({3, 0, 3, 6, 4, 12, 4, 20}));
  expect_refused("q_groups", "R2", groups({4, 0, 4, 6, 3, 16, 3, 22}));
  expect_refused("q_groups", "R4", groups({4, 2, 4, 8, 3, 16, 3, 22}));
  expect_refused("q_groups", "R4", groups({4, 0, 4, 16, 3, 8, 3, 22}));
  expect_refused("q_groups", "R4", groups({4, 0, 4, 8, 3, 16, 3, 28}));
  expect_refused("q_groups", "R4", groups({4, 0, 4, 8, 3, 16, 3, -1}));
  expect_refused("q_groups", "R4", groups({5, 0, 4, 8, 3, 16, 3, 22}));
  expect_refused("q_groups", "R5", groups({4, 0, 4, 4, 4, 16, 3, 22}));
  expect_refused("q_groups", "cover 320 rows", groups({4, 0, 4, 8, 2, 16}));
  expect_refused("q_groups", "1 bits", groups({4, 0, 4, 8, 3, 16, 1, 22}));
  expect_refused("q_groups", "7 bits", groups({7, 0, 4, 14, 3, 16, 3, 22}));
  expect_refused("q_groups", "-4 bits", groups({-4, 0, 4, 8, 3, 16, 3, 22}));

  expect_refused("q_invperm", "256 at place 3", invperm(3, 256));
  expect_refused("q_invperm", "-1 at place 255", invperm(255, -1));
  expect_refused("q_invperm", "no permutation", invperm(0, 1));
  expect_refused("q_scale_max", "0x7e00", scale_max(0x7e00));
  expect_refused("q_scale_max", "0x7c00", scale_max(0x7c00));
  expect_refused("q_scale_max", "0x8001", scale_max(0x8001));
  expect_refused("q_weight", "padded column 63",
                 [](Stored& s) { s.set<std::uint32_t>("q_weight", 27 * 64 + 63, 0); });
  expect_refused("bias", "padded column 41",
                 [](Stored& s) { s.set<std::uint16_t>("bias", 41, 1); });
  EXPECT_GE(refused_, 40);
}

TEST_F(Exl2Reader, RulesBoundTheInputs) {
  const std::vector<RowGroup> one = {{0, 32, 4}};
  EXPECT_THAT(exl2_group_fault(40, one), HasSubstr("R3"));
  EXPECT_THAT(exl2_group_fault(0, one), HasSubstr("R3"));
  EXPECT_THAT(exl2_group_fault(65568, one), HasSubstr("65536"));
  EXPECT_THAT(exl2_group_fault(32, {}), HasSubstr("no groups"));
  EXPECT_EQ(exl2_group_fault(32, one), "");
  std::vector<RowGroup> wide;
  for (std::int64_t row = 0; row < 65536; row += 128) wide.push_back({row, 128, 8});
  EXPECT_EQ(exl2_group_fault(65536, wide), "");
  EXPECT_THAT(exl2_group_fault(65536, std::vector<RowGroup>{{0, 65536, 8}}), HasSubstr("R4"));
}

TEST_F(Exl2Reader, GroupsAloneComeWithoutTheRest) {
  Stored stored(good_layer(false));
  stored.remove("q_invperm");
  tests::TempDirectory folder;
  stored.write(folder.path() / "model.safetensors");
  const formats::SafetensorsFolder opened(folder.path());
  EXPECT_TRUE(is_exl2_layer(opened, kKey));
  EXPECT_FALSE(is_exl2_layer(opened, "lm_head"));
  EXPECT_EQ(read_exl2_groups(opened, kKey, kInputs), good_layer(false).groups);
}

}  // namespace
}  // namespace shardquant::exl2
