#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "pipeline/config/run_config.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::tests {

/// The job of the schema's example, in which every path is relative.
inline const std::string kExample = R"(version: 1
model: {path: models/demo}
calibration: {tokens: tokens.i32, rows: 64, length: 256, slice_rows: 8}   # a comment
measure: {options: exl2-2023, err_norm: pooled}
allocate: {bpw: 4.0, objective: sum, head_bits: 6}
quantize: {hessians: auto}
output: {dir: out, shard_mib: 8192}
work: {dir: work}
device: {kind: auto, threads: 1}      # auto | cpu | cuda
)";

/// What a text leads to, if it is refused.
struct Refusal {
  ExitCode code = ExitCode::done;
  std::string text;
  double seconds = 0.0;
};

inline Refusal refusal(const std::function<void()>& work) {
  Refusal result;
  const auto start = std::chrono::steady_clock::now();
  try {
    work();
  } catch (const Failure& failure) {
    result.code = failure.code();
    result.text = failure.what();
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

inline config::RunConfig parse(const std::string& text,
                               const std::vector<std::string>& overrides = {}) {
  return config::parse_run_config(text, "job.yaml", "/jobs", overrides);
}

inline Refusal refusal_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return refusal([&] { parse(text, overrides); });
}

/// `text` with the first occurrence of `from` replaced; `from` must occur.
inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

}  // namespace shardquant::tests
