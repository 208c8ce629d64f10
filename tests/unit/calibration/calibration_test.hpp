#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "pipeline/failure.hpp"

namespace shardquant::tests {

/// A tokenizer of single letters: a is 0, b is 1, ... z is 25, "<s>" is 26 and BOS.
inline std::string letter_tokenizer() {
  std::string vocabulary;
  for (int i = 0; i < 26; ++i) {
    vocabulary += std::string(i == 0 ? "\"" : ", \"") + static_cast<char>('a' + i) +
                  "\": " + std::to_string(i);
  }
  return R"({"model": {"type": "BPE", "vocab": {)" + vocabulary + R"(}, "merges": []},
    "added_tokens": [{"id": 26, "content": "<s>", "special": true}], "post_processor":
    {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}},
    {"Sequence": {"id": "A"}}], "special_tokens": {"<s>": {"ids": [26]}}}})";
}

inline std::filesystem::path write_file(const std::filesystem::path& file,
                                        const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
  return file;
}

/// The text and code of the Failure that `work` throws; empty where it throws none.
struct Refused {
  std::string text;
  ExitCode code = ExitCode::done;
};

inline Refused refused(const std::function<void()>& work) {
  try {
    work();
  } catch (const Failure& failure) {
    return {failure.what(), failure.code()};
  }
  return {};
}

}  // namespace shardquant::tests
