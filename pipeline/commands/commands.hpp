#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/comm/communicator.hpp"

namespace shardquant::commands {

/// How far `run` goes.
enum class LastStage { measure, quantize };

/// A job file and what is given beside it.
struct RunArguments {
  std::string job_file;
  std::vector<std::string> overrides;  ///< "allocate.bpw=3.5"
  LastStage last = LastStage::quantize;
  std::string resume = "auto";     ///< auto, never, require
  std::string max_time = "auto";   ///< see control::read_time_limit
  double stall_timeout_s = 300.0;  ///< 0: no watchdog
  bool accept_build_change = false;
  bool start_anyway = false;  ///< what the start check finds too small is told as a warning
};

/// run, measure, quantize: calibrate, measure, allocate, quantize, write. Reuses what the work
/// folder holds; stops in an orderly way for signals and time limits, with ExitCode::try_again. Of
/// a sweep, measure measures what its points share.
/// @throws Failure
void run_job(comm::Communicator& comm, const RunArguments& arguments);

struct SweepArguments {
  RunArguments run;  ///< of the job file with the sweep; resume and last do not count
  std::optional<std::int64_t>
      point;  ///< this one alone; its measurement first where that is missing
};

/// sweep run: measures what the points share, once, and makes their outputs, one after the other,
/// reusing what is there. Writes the summary after every point.
/// @throws Failure, naming the point where it is of one
void run_sweep(comm::Communicator& comm, const SweepArguments& arguments);

/// sweep list: prints the numbered points and whether they are done; on root.
void list_sweep(const SweepArguments& arguments);

/// sweep summary: writes and prints the table of all points, and puts them into every report; for
/// after a job array, when no job of the sweep is running. On root.
void summarize_sweep(const SweepArguments& arguments);

struct EvalArguments {
  std::string model_dir;
  std::string tokens;                       ///< this, in rows of `length`, or
  std::vector<std::string> texts;           ///< the documents of these files and folders, cut into
                                            ///< rows of at most `length`
  std::string kind = "auto";                ///< of texts: auto, text, jsonl, json
  std::string field = "text";               ///< of a JSON object: the one with the text
  std::string separator = "<|endoftext|>";  ///< between the documents of a text file
  std::string bos = "auto";                 ///< auto, document, row, none
  std::int64_t rows = 0;                    ///< 0: all there are
  std::int64_t length = 0;                  ///< 0, of texts: 2048 or the model's positions
  std::string against;  ///< plain folder to compare with; empty: perplexity alone
  int threads = 1;
  bool json = false;
  bool follow_symlinks = false;  ///< in both folders, wherever they lead
};

/// Perplexity of a plain or EXL2 folder, and where there is a plain one to compare with, how far
/// the two models' predictions are apart, of all rows and by file; rows dealt out over the ranks;
/// printed by root.
void evaluate(comm::Communicator& comm, const EvalArguments& arguments);

struct VerifyArguments {
  std::string model_dir;
  std::string against;  ///< source folder; empty: structure alone
  bool follow_symlinks = false;
};

/// Strict check of an EXL2 folder, its bytes against their checksums included, on root; with a
/// source folder the error of every layer's weights.
void verify(const VerifyArguments& arguments);

struct TokenizeArguments {
  std::string tokenizer;            ///< file, or folder of a model
  std::vector<std::string> inputs;  ///< text or JSON lines, or folders of them
  std::string kind = "auto";
  std::string field = "text";
  std::string separator = "<|endoftext|>";
  std::string bos = "auto";  ///< auto, document, none
  std::string out;           ///< int32 stream; empty: none is written
  bool force = false;
  bool show = false;
};

/// Token stream of documents: written, counted and shown; on root.
void tokenize(const TokenizeArguments& arguments);

struct PlanArguments {
  std::string target;       ///< job file, or folder of a model; or
  std::string config_file;  ///< config.json alone
  std::vector<std::string> overrides;
  std::vector<int> ranks = {1, 8, 64, 256, 1024};
  std::string machine = "h200-peak";  ///< profile's name or file
  bool follow_symlinks = false;
  bool sbatch = false;  ///< print a batch script for the first number of ranks
  bool json = false;
};

/// Prints what a job will take, for imagined ranks on a named machine; nothing is read but the job
/// and config.json. On root.
/// @throws Failure(config) where no number of ranks fits the machine, naming the setting that
/// would; Failure(bad_data) for a model that is not supported
void plan_job(const PlanArguments& arguments);

struct InspectArguments {
  std::string path;
  bool follow_symlinks = false;  ///< of a model folder
};

/// Prints what is in a model folder, measurement (2023 or 2024 schema), plan or state file; on
/// root. @throws Failure(bad_data) for a file that is none of these
void inspect(const InspectArguments& arguments);

}  // namespace shardquant::commands
