// Runs a fuzz target without libFuzzer: every file of a corpus, then a number of inputs made from
// them by a fixed sequence of changes. REPLAY CORPUS INPUTS [DICTIONARY]

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestInput = 1 << 16;
constexpr double kLongestSeconds = 1.0;

std::string contents(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<std::string> read_corpus(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> inputs;
  for (const fs::path& file : files) inputs.push_back(contents(file));
  return inputs;
}

// The words of a libFuzzer dictionary: "..." a line, with \\, \" and \xHH.
std::vector<std::string> read_dictionary(const fs::path& path) {
  std::vector<std::string> words;
  std::ifstream stream(path);
  for (std::string line; std::getline(stream, line);) {
    const std::size_t begin = line.find('"');
    const std::size_t end = line.rfind('"');
    if (line.starts_with('#') || begin == end) continue;
    std::string word;
    for (std::size_t i = begin + 1; i < end; ++i) {
      if (line[i] != '\\') {
        word += line[i];
      } else if (line[++i] == 'x') {
        word += static_cast<char>(std::stoi(line.substr(i + 1, 2), nullptr, 16));
        i += 2;
      } else {
        word += line[i];
      }
    }
    words.push_back(word);
  }
  return words;
}

class Mutator {
 public:
  Mutator(const std::vector<std::string>& corpus, const std::vector<std::string>& words)
      : corpus_(corpus), words_(words) {}

  std::string next() {
    std::string input = corpus_[below(corpus_.size())];
    for (std::size_t changes = 1 + below(4); changes > 0; --changes) change(input);
    input.resize(std::min(input.size(), kLongestInput));
    return input;
  }

 private:
  std::size_t below(std::size_t count) { return count == 0 ? 0 : random_() % count; }

  void change(std::string& input) {
    const std::size_t at = below(input.size() + 1);
    const std::string& other = corpus_[below(corpus_.size())];
    switch (below(8)) {
      case 0:
        input.erase(at, 1 + below(8));
        break;
      case 1:
        input.insert(at, 1, static_cast<char>(random_()));
        break;
      case 2:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
        break;
      case 3:
        if (at < input.size()) input[at] = static_cast<char>(random_());
        break;
      case 4:
        input.insert(at, input.substr(below(input.size() + 1), 1 + below(64)));
        break;
      case 5:
        input.replace(at, below(32), other.substr(below(other.size() + 1), below(64)));
        break;
      case 6:
        if (!words_.empty()) input.replace(at, below(12), words_[below(words_.size())]);
        break;
      default:
        input.resize(at);
    }
  }

  const std::vector<std::string>& corpus_;
  const std::vector<std::string>& words_;
  std::mt19937_64 random_{20261124};
};

double run(const std::string& input) {
  const auto begin = std::chrono::steady_clock::now();
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) return 64;
  const std::vector<std::string> corpus = read_corpus(arguments[1]);
  const std::vector<std::string> words =
      count > 3 ? read_dictionary(arguments[3]) : std::vector<std::string>{};
  if (corpus.empty()) return 66;
  double longest = 0.0;
  for (const std::string& input : corpus) longest = std::max(longest, run(input));
  Mutator mutator(corpus, words);
  const long inputs = std::atol(arguments[2]);
  for (long i = 0; i < inputs; ++i) longest = std::max(longest, run(mutator.next()));
  std::printf("%zu corpus files and %ld inputs made from them: no finding, longest %.3f s\n",
              corpus.size(), inputs, longest);
  return longest < kLongestSeconds * SHARDQUANT_TIME_FACTOR ? 0 : 1;
}
