#include "pipeline/stages/evaluation_state.hpp"

#include <fmt/format.h>

#include <vector>

#include "pipeline/checkpoint/state_file.hpp"

namespace shardquant::stages {

namespace {

constexpr std::size_t kTokenNumbers = 3;   // divergence and the two losses
constexpr std::size_t kTokenIntegers = 3;  // document, place, same_top
constexpr std::size_t kStateNumbers = 2;

std::string kind_of(std::int64_t index) {
  return fmt::format("evaluated batch {}", index);
}

std::string name_of(std::int64_t index) {
  return fmt::format("batch-{:06}", index);
}

}  // namespace

void save_batch(const waves::Job& job, const std::string& run,
                const evaluation::ComparedBatch& batch) {
  std::vector<std::int64_t> integers;
  std::vector<double> numbers, states;
  for (const evaluation::TokenComparison& token : batch.tokens) {
    integers.insert(integers.end(), {token.document, token.place, token.same_top});
    numbers.insert(numbers.end(), {token.divergence, token.plain_nll, token.other_nll});
  }
  for (const evaluation::StateDifference& state : batch.states) {
    states.insert(states.end(), {state.squared, state.plain_squared});
  }
  checkpoint::StateFileWriter file(job.work.evaluation(name_of(batch.batch)), kind_of(batch.batch),
                                   run);
  file.write<std::int64_t>("tokens", integers);
  file.write<double>("token_figures", numbers);
  file.write<double>("state_differences", states);
  file.commit();
}

std::optional<evaluation::ComparedBatch> load_batch(const waves::Job& job, const std::string& run,
                                                    std::int64_t index) {
  const auto path = job.work.evaluation(name_of(index));
  if (!checkpoint::state_file_is_usable(path, kind_of(index), run)) return std::nullopt;
  checkpoint::StateFileReader file(path, kind_of(index), run);
  const auto integers = file.read<std::int64_t>("tokens");
  const auto numbers = file.read<double>("token_figures");
  const auto states = file.read<double>("state_differences");
  evaluation::ComparedBatch batch;
  batch.batch = index;
  for (std::size_t i = 0; i < integers.size() / kTokenIntegers; ++i) {
    const std::int64_t* whole = &integers[i * kTokenIntegers];
    const double* number = &numbers[i * kTokenNumbers];
    batch.tokens.push_back({whole[0], whole[1], number[0], number[1], number[2], whole[2]});
  }
  for (std::size_t i = 0; i < states.size() / kStateNumbers; ++i) {
    batch.states.push_back({index, static_cast<std::int64_t>(i), states[i * kStateNumbers],
                            states[i * kStateNumbers + 1]});
  }
  return batch;
}

}  // namespace shardquant::stages
