#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::tests {

inline constexpr const char* kKind = "hessian model.layers.0.q";
inline constexpr const char* kPrint = "0123456789abcdef";

/// Chunks and pieces so small that a few kilobytes exercise what gigabytes would.
inline constexpr checkpoint::StateFileLayout kSmallLayout{.chunk_bytes = 512, .piece_bytes = 2048};

inline std::vector<float> random_floats(std::int64_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(random() % 65536) / 256.0f;
  return values;
}

/// A committed file of a few kilobytes with two datasets and two attributes.
inline void write_small_file(const std::filesystem::path& path, std::uint64_t seed) {
  checkpoint::StateFileWriter writer(path, kKind, kPrint, kSmallLayout);
  writer.write<float>("hessian", random_floats(1500, seed));
  writer.write<std::int32_t>("order", std::vector<std::int32_t>{3, 1, 2});
  writer.add_integer("size", 54);
  writer.add_number("damping", 0.07);
  writer.commit();
}

inline std::string file_bytes(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(bytes.data(), std::ssize(bytes));
}

/// Names of all entries of a folder.
inline std::vector<std::string> entries(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

/// The code and text of the Failure that `work` throws; a failed test where it throws none.
template <class Work>
Failure failure_of(Work&& work) {
  try {
    work();
  } catch (const Failure& failure) {
    return failure;
  }
  ADD_FAILURE() << "no Failure thrown";
  return Failure(ExitCode::done, "");
}

}  // namespace shardquant::tests
