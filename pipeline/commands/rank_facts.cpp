#include "pipeline/commands/rank_facts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <sstream>
#include <string_view>

#include "pipeline/failure.hpp"
#include "pipeline/report/cgroup_memory.hpp"
#include "pipeline/report/memory.hpp"

namespace shardquant::commands {

namespace {

std::vector<std::string> gather_text(comm::Communicator& comm, std::string_view text) {
  std::vector<std::string> all;
  for (const auto& bytes : comm.gather(std::as_bytes(std::span(text)))) {
    all.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return all;
}

std::string facts_text(const RankFacts& facts) {
  return fmt::format("{}\n{}\n{}\n{} {} {} {} {}\n", facts.host, facts.device,
                     facts.device_identity, facts.threads, facts.memory_needed,
                     facts.memory_available, facts.processors.size(),
                     fmt::join(facts.processors, " "));
}

RankFacts parse_facts(const std::string& text) {
  std::istringstream stream(text);
  RankFacts facts;
  std::getline(stream, facts.host);
  std::getline(stream, facts.device);
  std::getline(stream, facts.device_identity);
  std::size_t processors = 0;
  stream >> facts.threads >> facts.memory_needed >> facts.memory_available >> processors;
  for (int number = 0; facts.processors.size() < processors && stream >> number;) {
    facts.processors.insert(number);
  }
  if (!stream) {
    fail(ExitCode::unavailable, "the network or MPI changes messages: a rank sent \"{}\"", text);
  }
  return facts;
}

}  // namespace

RankFacts local_facts() {
  RankFacts facts;
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) == 0) facts.host = name.data();
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int number = 0; number < CPU_SETSIZE; ++number) {
      if (CPU_ISSET(number, &set)) facts.processors.insert(number);
    }
  }
  facts.memory_available = report::available_host_bytes();
  const std::int64_t of_groups = report::cgroup_available_bytes();
  if (of_groups >= 0 && (facts.memory_available == 0 || of_groups < facts.memory_available)) {
    facts.memory_available = std::max<std::int64_t>(of_groups, 1);  // 0 would mean: unknown
  }
  return facts;
}

std::vector<RankFacts> gather_facts(comm::Communicator& comm, const RankFacts& mine) {
  std::vector<RankFacts> all;
  for (const std::string& text : gather_text(comm, facts_text(mine))) {
    all.push_back(parse_facts(text));
  }
  return all;
}

void require_same_program(comm::Communicator& comm, const std::string& build,
                          const std::string& call) {
  const std::vector<std::string> builds = gather_text(comm, build);
  const std::vector<std::string> calls = gather_text(comm, call);
  comm::on_root(comm, [&] {
    for (std::size_t r = 1; r < builds.size(); ++r) {
      if (builds[r] != build) {
        fail(
            ExitCode::unavailable,
            "rank {} runs build {} of this program, rank 0 build {}: start one file that all nodes "
            "see",
            r, builds[r], build);
      }
      if (calls[r] != call) {
        fail(ExitCode::unavailable,
             "rank {} was started as \"{}\", rank 0 as \"{}\": give all ranks one command line", r,
             calls[r], call);
      }
    }
  });
}

}  // namespace shardquant::commands
