#include "pipeline/formats/safetensors_header.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_sax.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/formats/safetensors_file.hpp"

namespace shardquant::formats::detail {

namespace {

constexpr std::string_view kMetadataKey = "__metadata__";

std::string name_fault(std::string_view name) {
  if (name.empty()) return "an empty name";
  if (std::ssize(name) > kMaxTensorNameBytes) return "a name longer than 1024 bytes";
  if (name.find_first_of("/\\") != std::string_view::npos) return "a name with a slash";
  if (name.find("..") != std::string_view::npos) return "a name with \"..\"";
  const bool control = std::any_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  return control ? "a name with a control character" : "";
}

// Reads {"NAME": {"dtype": "F16", "shape": [..], "data_offsets": [b, e]}, "__metadata__": {..}}
// without a tree: a header may describe 262144 tensors.
class HeaderReader final : public JsonSax {
 public:
  explicit HeaderReader(const std::string& file) : JsonSax(file, 3) {}

  std::vector<TensorInfo> take_tensors() { return std::move(tensors_); }

  bool null() override { return wrong_value("null"); }
  bool boolean(bool) override { return wrong_value("true or false"); }
  bool number_integer(std::int64_t) override {
    if (place_ == Place::shape) refuse("a dimension is negative");
    if (place_ == Place::offsets) refuse("an offset is negative");
    return wrong_value("a number");
  }
  bool number_unsigned(std::uint64_t value) override {
    if (place_ != Place::shape && place_ != Place::offsets) return wrong_value("a number");
    if (!std::in_range<std::int64_t>(value)) refuse("a dimension or offset is too large");
    add_number(static_cast<std::int64_t>(value));
    return true;
  }
  bool number_float(double, const std::string& text) override {
    if (place_ != Place::shape && place_ != Place::offsets) return wrong_value("a number");
    refuse(written_as_integer(text) ? "a dimension or offset is too large"
                                    : "a dimension or offset is not written as an integer");
  }
  bool string(std::string& value) override;
  bool start_object(std::size_t) override;
  bool key(std::string& name) override;
  bool end_object() override;
  bool start_array(std::size_t) override;
  bool end_array() override;

 private:
  enum class Place { outside, top, metadata, metadata_value, tensor, dtype, shape, offsets, done };
  enum Field : unsigned { kDtype = 1, kShape = 2, kOffsets = 4 };

  [[noreturn]] void refuse(std::string_view reason) const {
    if (place_ == Place::outside || place_ == Place::top || tensors_.empty()) {
      fail(ExitCode::bad_data, "{}: {}", file(), reason);
    }
    fail(ExitCode::bad_data, "{}: tensor {}: {}", file(), json_quote(tensors_.back().name), reason);
  }
  [[noreturn]] bool wrong_value(std::string_view found) const;
  void add_number(std::int64_t value);
  void add_tensor(std::string& name);
  void start_field(const std::string& name);

  Place place_ = Place::outside;
  bool metadata_seen_ = false;
  bool metadata_next_ = false;  // the value that follows is that of __metadata__
  bool array_open_ = false;
  unsigned fields_ = 0;  // of the tensor being read
  std::int64_t offsets_read_ = 0;
  std::vector<std::string> metadata_keys_;
  std::vector<TensorInfo> tensors_;
};

bool HeaderReader::wrong_value(std::string_view found) const {
  switch (place_) {
    case Place::outside:
      fail(ExitCode::bad_data, "{}: the header is {}, not a JSON object", file(), found);
    case Place::metadata_value:
      fail(ExitCode::bad_data, "{}: {}: a value is {}, not a string", file(), kMetadataKey, found);
    case Place::top:
      if (metadata_next_) {
        fail(ExitCode::bad_data, "{}: {} is {}, not an object", file(), kMetadataKey, found);
      }
      fail(ExitCode::bad_data, "{}: tensor {}: {}, not an object", file(),
           json_quote(tensors_.back().name), found);
    case Place::dtype:
      refuse(fmt::format("dtype is {}, not a string", found));
    case Place::shape:
      refuse(fmt::format("shape holds {}", found));
    default:
      refuse(fmt::format("data_offsets holds {}", found));
  }
}

bool HeaderReader::string(std::string& value) {
  if (place_ == Place::metadata_value) {
    place_ = Place::metadata;
    return true;
  }
  if (place_ != Place::dtype) wrong_value("a string");
  const auto dtype = dtype_from_name(value);
  if (!dtype) refuse("unknown dtype " + json_quote(value.substr(0, 32)));
  tensors_.back().dtype = *dtype;
  place_ = Place::tensor;
  return true;
}

bool HeaderReader::start_object(std::size_t) {
  enter();
  if (place_ == Place::outside) {
    place_ = Place::top;
  } else if (place_ == Place::top) {
    place_ = metadata_next_ ? Place::metadata : Place::tensor;
    fields_ = 0;
  } else {
    wrong_value("an object");
  }
  return true;
}

bool HeaderReader::key(std::string& name) {
  if (place_ == Place::top) {
    metadata_next_ = name == kMetadataKey;
    if (!metadata_next_) {
      add_tensor(name);
    } else if (std::exchange(metadata_seen_, true)) {
      fail(ExitCode::bad_data, "{}: {} given twice", file(), kMetadataKey);
    }
  } else if (place_ == Place::metadata) {
    metadata_keys_.push_back(std::move(name));
    place_ = Place::metadata_value;
  } else {
    start_field(name);
  }
  return true;
}

void HeaderReader::add_tensor(std::string& name) {
  const std::string fault = name_fault(name);
  if (!fault.empty()) {
    fail(ExitCode::bad_data, "{}: a tensor has {}: {}", file(), fault,
         json_quote(std::string_view(name).substr(0, 64)));
  }
  if (std::ssize(tensors_) == kMaxTensorsPerFile) {
    fail(ExitCode::bad_data, "{}: more than {} tensors", file(), kMaxTensorsPerFile);
  }
  tensors_.push_back({std::move(name), Dtype::f32, {}, 0, 0});
}

void HeaderReader::start_field(const std::string& name) {
  unsigned field = 0;
  if (name == "dtype") {
    field = kDtype;
    place_ = Place::dtype;
  } else if (name == "shape") {
    field = kShape;
    place_ = Place::shape;
  } else if (name == "data_offsets") {
    field = kOffsets;
    place_ = Place::offsets;
    offsets_read_ = 0;
  } else {
    refuse("unknown field " + json_quote(name.substr(0, 64)));
  }
  if ((fields_ & field) != 0) refuse(name + " given twice");
  fields_ |= field;
}

bool HeaderReader::start_array(std::size_t) {
  enter();
  if ((place_ != Place::shape && place_ != Place::offsets) || array_open_) wrong_value("an array");
  array_open_ = true;
  return true;
}

void HeaderReader::add_number(std::int64_t value) {
  if (!array_open_) wrong_value("a number without brackets");
  TensorInfo& tensor = tensors_.back();
  if (place_ == Place::shape) {
    if (std::ssize(tensor.shape) == kMaxRank) refuse("more than 64 dimensions");
    tensor.shape.push_back(value);
    return;
  }
  if (offsets_read_ == 2) refuse("more than two data_offsets");
  (offsets_read_ == 0 ? tensor.begin : tensor.end) = value;
  ++offsets_read_;
}

bool HeaderReader::end_array() {
  leave();
  array_open_ = false;
  if (place_ == Place::offsets && offsets_read_ != 2) refuse("data_offsets are not two numbers");
  place_ = Place::tensor;
  return true;
}

bool HeaderReader::end_object() {
  leave();
  if (place_ == Place::metadata) {
    std::sort(metadata_keys_.begin(), metadata_keys_.end());
    if (std::adjacent_find(metadata_keys_.begin(), metadata_keys_.end()) != metadata_keys_.end()) {
      fail(ExitCode::bad_data, "{}: {}: a key is given twice", file(), kMetadataKey);
    }
    place_ = Place::top;
  } else if (place_ == Place::tensor) {
    if ((fields_ & kDtype) == 0) refuse("dtype is missing");
    if ((fields_ & kShape) == 0) refuse("shape is missing");
    if ((fields_ & kOffsets) == 0) refuse("data_offsets are missing");
    place_ = Place::top;
  } else {
    place_ = Place::done;
  }
  return true;
}

void check_size(const TensorInfo& tensor, const std::string& file) {
  const auto refuse = [&](std::string_view reason) {
    fail(ExitCode::bad_data, "{}: tensor {}: {}", file, json_quote(tensor.name), reason);
  };
  std::int64_t bytes = 1;
  for (const std::int64_t dimension : tensor.shape) {
    if (__builtin_mul_overflow(bytes, dimension, &bytes)) refuse("its shape overflows");
  }
  if (__builtin_mul_overflow(bytes, dtype_bytes(tensor.dtype), &bytes)) {
    refuse("its size in bytes overflows");
  }
  if (tensor.end < tensor.begin) refuse("data_offsets are reversed");
  if (tensor.bytes() != bytes) {
    refuse(fmt::format("{} takes {} bytes, data_offsets span {}",
                       describe_tensor(tensor.dtype, tensor.shape), bytes, tensor.bytes()));
  }
}

void check_tiling(const std::vector<TensorInfo>& tensors, const std::string& file,
                  std::int64_t buffer_bytes) {
  std::int64_t place = 0;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.begin != place) {
      fail(
          ExitCode::bad_data, "{}: tensor {}: begins at byte {} of the buffer, {} at {}", file,
          json_quote(tensor.name), tensor.begin,
          tensor.begin < place ? "overlapping the tensor that ends" : "leaving a hole from the end",
          place);
    }
    place = tensor.end;
    if (place > buffer_bytes) {
      fail(ExitCode::bad_data,
           "{}: tensor {}: ends {} bytes beyond the end of the file; the download is incomplete",
           file, json_quote(tensor.name), place - buffer_bytes);
    }
  }
  if (place != buffer_bytes) {
    fail(ExitCode::bad_data, "{}: {} bytes after the last tensor belong to none", file,
         buffer_bytes - place);
  }
}

void check_names(const std::vector<TensorInfo>& tensors, const std::string& file) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const TensorInfo& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) {
    fail(ExitCode::bad_data, "{}: tensor {}: given twice", file, json_quote(*twice));
  }
}

}  // namespace

std::vector<TensorInfo> parse_safetensors_header(std::string_view header, const std::string& file,
                                                 std::int64_t file_bytes) {
  if (!header.starts_with('{')) {
    fail(ExitCode::bad_data, "{}: the header does not begin with '{{'; not a safetensors file",
         file);
  }
  HeaderReader reader(file);
  parse_json(header, reader);
  std::vector<TensorInfo> tensors = reader.take_tensors();

  check_names(tensors, file);
  for (const TensorInfo& tensor : tensors) check_size(tensor, file);
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  const std::int64_t data_begin = 8 + std::ssize(header);
  check_tiling(tensors, file, file_bytes - data_begin);
  for (TensorInfo& tensor : tensors) {
    tensor.begin += data_begin;
    tensor.end += data_begin;
  }
  return tensors;
}

void refuse_impostor(std::string_view beginning, const std::string& file) {
  if (beginning.starts_with("version https://git-lfs")) {
    fail(ExitCode::bad_data,
         "{}: a Git LFS pointer, not the file itself; fetch the file with \"git lfs pull\"", file);
  }
  std::string text(beginning.substr(0, 64));
  text.erase(0, text.find_first_not_of(" \t\r\n"));
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (text.starts_with("<!doctype") || text.starts_with("<html") || text.starts_with("<?xml")) {
    fail(ExitCode::bad_data,
         "{}: a web page, not a checkpoint; the download failed or needs a login", file);
  }
}

}  // namespace shardquant::formats::detail
