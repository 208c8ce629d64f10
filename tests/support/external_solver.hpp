#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <optional>
#include <sstream>
#include <string>

#include "solver/choice_problem.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::tests {

/// What another program says about a problem.
struct ExternalResult {
  double loss = 0.0;
  bool proved = false;
};

/// Whether a program can be started by this name.
inline bool has_program(const std::string& name) {
  return std::system(("command -v " + name + " > /dev/null 2>&1").c_str()) == 0;
}

/// The problem as an integer program in the LP format of CPLEX, which GLPK and CBC read. Bits are
/// divided by their greatest common divisor, which keeps the coefficients small.
inline void write_lp(const solver::ChoiceProblem& problem, const std::filesystem::path& file) {
  std::int64_t unit = 0;
  std::int64_t lightest_sum = 0;
  for (const auto& group : problem.groups) {
    for (const auto& choice : group) unit = std::gcd(unit, choice.bits - group.front().bits);
    lightest_sum += group.front().bits;
  }
  if (unit == 0) unit = 1;
  std::ofstream out(file);
  out.precision(17);
  std::ostringstream bits, picks, variables;
  out << "Minimize\n loss:";
  for (std::size_t g = 0; g < problem.groups.size(); ++g) {
    const auto& group = problem.groups[g];
    picks << " pick" << g << ":";
    for (std::size_t i = 0; i < group.size(); ++i) {
      const std::string name = "x" + std::to_string(g) + "_" + std::to_string(i);
      const std::int64_t more = (group[i].bits - group.front().bits) / unit;
      out << (group[i].loss < 0 ? " - " : " + ") << std::abs(group[i].loss) << " " << name << "\n";
      if (more != 0) bits << (more < 0 ? " - " : " + ") << std::abs(more) << " " << name << "\n";
      picks << " + " << name;
      variables << " " << name << "\n";
    }
    picks << " = 1\n";
  }
  const std::int64_t budget = (problem.budget_bits - lightest_sum) / unit;
  out << "Subject To\n bits:" << bits.str() << " <= " << budget << "\n"
      << picks.str() << "Binary\n"
      << variables.str() << "End\n";
}

/// GLPK's answer; nothing if glpsol is not installed or finds none within `seconds`.
inline std::optional<ExternalResult> solve_with_glpk(const solver::ChoiceProblem& problem,
                                                     int seconds) {
  if (!has_program("glpsol")) return std::nullopt;
  const TempDirectory folder;
  write_lp(problem, folder.path() / "p.lp");
  const std::string command = "cd " + folder.path().string() + " && glpsol --lp p.lp --tmlim " +
                              std::to_string(seconds) + " --write p.txt > log 2>&1";
  if (std::system(command.c_str()) != 0) return std::nullopt;
  std::ifstream result(folder.path() / "p.txt");
  for (std::string line; std::getline(result, line);) {
    // "s mip ROWS COLUMNS STATUS LOSS", status o for optimal and f for feasible
    std::istringstream words(line);
    std::string s, mip, status;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    ExternalResult found;
    if (words >> s >> mip >> rows >> columns >> status >> found.loss && s == "s" && mip == "mip") {
      found.proved = status == "o";
      return found;
    }
  }
  return std::nullopt;
}

/// CBC's answer; nothing if cbc is not installed or finds none within `seconds`.
inline std::optional<ExternalResult> solve_with_cbc(const solver::ChoiceProblem& problem,
                                                    int seconds) {
  if (!has_program("cbc")) return std::nullopt;
  const TempDirectory folder;
  write_lp(problem, folder.path() / "p.lp");
  const std::string command = "cd " + folder.path().string() + " && cbc p.lp -ratioGap 0 -sec " +
                              std::to_string(seconds) + " -solve -solution p.txt > log 2>&1";
  if (std::system(command.c_str()) != 0) return std::nullopt;
  std::ifstream result(folder.path() / "p.txt");
  std::string line;
  std::getline(result, line);
  const std::size_t value = line.find("objective value");
  if (value == std::string::npos) return std::nullopt;
  return ExternalResult{std::atof(line.c_str() + value + 15), line.rfind("Optimal", 0) == 0};
}

}  // namespace shardquant::tests
