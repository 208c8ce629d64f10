#include "pipeline/formats/weights/exl2/rewrite_config.hpp"

#include <nlohmann/json.hpp>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::exl2 {

namespace {

using Json = nlohmann::ordered_json;

void put_in(Json& config, const weights::ReaderField& field) {
  const Json value = Json::parse(field.value);
  const bool is_given = config.contains(field.name) && !config[field.name].is_null();
  const Json found = is_given ? config[field.name] : Json::parse(field.default_value);
  // 10000 is 10000.0, and the order of members does not matter.
  if (nlohmann::json(found) != nlohmann::json(value)) config[field.name] = value;
}

// bos_token_id and pad_token_id are one number for the reader.
void take_first_ids(Json& config) {
  for (const char* name : {"bos_token_id", "pad_token_id"}) {
    if (!config.contains(name) || !config[name].is_array()) continue;
    const Json ids = config[name];
    config[name] = ids.empty() ? Json(nullptr) : ids.front();
  }
}

}  // namespace

std::string rewrite_config(std::string_view source_text, const std::string& file,
                           const weights::QuantizationEntry& entry) {
  const formats::JsonText strict = formats::JsonText::parse(source_text, file);
  if (!strict.root().is_object()) strict.root().refuse("must be an object");
  auto config = nlohmann::ordered_json::parse(source_text);

  nlohmann::ordered_json quantization = {
      {"quant_method", "exl2"},
      {"version", kExl2Version},
      {"bits", entry.bits},
      {"head_bits", entry.head_bits},
      {"calibration",
       {{"rows", entry.calibration_rows},
        {"length", entry.calibration_length},
        {"dataset", entry.calibration_dataset}}},
  };
  const auto former = config.find("quantization_config");
  if (former != config.end()) {
    if (!former->is_null()) quantization["original_quantization_config"] = *former;
    config.erase(former);
  }
  for (const weights::ReaderField& field : entry.reader_fields) put_in(config, field);
  take_first_ids(config);
  config["torch_dtype"] = "float16";
  // Newer transformers write "dtype" in its place and read either.
  if (config.contains("dtype")) config["dtype"] = "float16";
  config["quantization_config"] = std::move(quantization);
  return config.dump(2) + '\n';
}

}  // namespace shardquant::exl2
