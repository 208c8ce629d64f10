#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/safetensors_file.hpp"

namespace shardquant::formats {

/// Calibration or evaluation tokens in a file: a stream of int32, little endian, or (name ends in
/// .safetensors) a tensor "input_ids" [rows, length] of I32 or I64. Read row by row with pread;
/// const members may be called from several threads.
class TokenStream {
 public:
  /// @throws Failure: no_input, no_permission, io_error; bad_data where it is no such file
  explicit TokenStream(const std::filesystem::path& path);

  const std::string& name() const { return name_; }
  std::int64_t tokens() const { return rows_ * row_tokens_; }

  /// How many rows of `length` tokens there are: consecutive pieces of the stream; of a tensor
  /// consecutive pieces of each of its rows, what is left of a row being skipped. @pre length > 0
  std::int64_t rows_of(std::int64_t length) const;
  /// @throws Failure(bad_data) saying how many rows fit, where there are fewer than `rows`
  void require_rows(std::int64_t rows, std::int64_t length) const;

  /// Reads row `row` into `out` (its size is the length of rows).
  /// @pre 0 <= row < rows_of(out.size())
  /// @throws Failure(bad_data) naming row, place and value where an id is outside [0, vocab_size)
  void read_row(std::int64_t row, std::int64_t vocab_size, std::span<std::int32_t> out) const;

 private:
  std::string name_;
  FileHandle stream_;
  std::optional<SafetensorsFile> tensors_;
  const TensorInfo* ids_ = nullptr;  // in tensors_
  std::int64_t rows_ = 1;
  std::int64_t row_tokens_ = 0;
  std::int64_t token_bytes_ = 4;
};

}  // namespace shardquant::formats
