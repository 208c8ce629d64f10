#include "pipeline/formats/token_stream.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "pipeline/failure.hpp"

namespace shardquant::formats {

TokenStream::TokenStream(const std::filesystem::path& path) : name_(path.string()) {
  FileHandle file = FileHandle::open_for_reading(path);
  if (path.extension() != ".safetensors") {
    const std::int64_t bytes = file.size();
    if (bytes == 0 || bytes % 4 != 0) {
      fail(ExitCode::bad_data, "{}: {} bytes are no stream of int32 tokens", name_, bytes);
    }
    row_tokens_ = bytes / 4;
    stream_ = std::move(file);
    return;
  }
  tensors_.emplace(std::move(file));
  ids_ = tensors_->find("input_ids");
  if (ids_ == nullptr) fail(ExitCode::bad_data, "{}: no tensor \"input_ids\"", name_);
  if (ids_->shape.size() != 2 || (ids_->dtype != Dtype::i32 && ids_->dtype != Dtype::i64) ||
      ids_->bytes() == 0) {
    fail(ExitCode::bad_data, "{}: input_ids is {}; wanted are I32 or I64 [rows, length]", name_,
         describe_tensor(ids_->dtype, ids_->shape));
  }
  rows_ = ids_->shape[0];
  row_tokens_ = ids_->shape[1];
  token_bytes_ = dtype_bytes(ids_->dtype);
}

std::int64_t TokenStream::rows_of(std::int64_t length) const {
  return rows_ * (row_tokens_ / length);
}

void TokenStream::require_rows(std::int64_t rows, std::int64_t length) const {
  const std::int64_t available = rows_of(length);
  if (rows > available) {
    fail(ExitCode::bad_data, "{}: {} rows of {} tokens asked for, but only {} fit", name_, rows,
         length, available);
  }
}

void TokenStream::read_row(std::int64_t row, std::int64_t vocab_size,
                           std::span<std::int32_t> out) const {
  const std::int64_t length = std::ssize(out);
  const std::int64_t per_row = row_tokens_ / length;
  if (row < 0 || row >= rows_of(length)) {
    fail(ExitCode::internal, "{}: row {} of {} asked for", name_, row, rows_of(length));
  }
  const std::int64_t first = row / per_row * row_tokens_ + row % per_row * length;
  std::vector<std::byte> bytes(length * token_bytes_);
  if (ids_ != nullptr) {
    tensors_->read_bytes(*ids_, first * token_bytes_, bytes);
  } else {
    stream_.read_exact(first * token_bytes_, bytes);
  }
  for (std::int64_t i = 0; i < length; ++i) {
    const std::byte* place = bytes.data() + i * token_bytes_;
    std::int32_t narrow = 0;
    std::int64_t id = 0;
    if (token_bytes_ == 8) {
      std::memcpy(&id, place, sizeof id);
    } else {
      std::memcpy(&narrow, place, sizeof narrow);
      id = narrow;
    }
    if (id < 0 || id >= vocab_size) {
      fail(ExitCode::bad_data,
           "{}: token {} at place {} (row {}, column {}) is outside the vocabulary of {}", name_,
           id, first + i, row, i, vocab_size);
    }
    out[i] = static_cast<std::int32_t>(id);
  }
}

}  // namespace shardquant::formats
