#include "pipeline/commands/command_line.hpp"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <span>
#include <string>

#include "pipeline/commands/build_facts.hpp"
#include "pipeline/commands/command_examples.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/commands/describe_commands.hpp"
#include "pipeline/commands/solve_command.hpp"
#include "pipeline/commands/usage_error.hpp"
#include "pipeline/control/stop_signals.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"

namespace shardquant::commands {

namespace {

using Action = std::function<void(comm::Communicator&)>;

// Of all commands that run jobs.
void add_job_options(CLI::App* command, RunArguments& arguments) {
  command->add_option("JOB", arguments.job_file, "Job file (YAML, schema version 1)")->required();
  command->add_option("-s,--set", arguments.overrides,
                      "Override one setting, as allocate.bpw=3.5; may be repeated");
}

void add_link_option(CLI::App* command, bool& follow) {
  command->add_flag("--follow-symlinks", follow,
                    "Follow links that lead out of a model folder, as to a shared store");
}

void add_run_options(CLI::App* command, RunArguments& arguments) {
  command->add_option("--max-time", arguments.max_time,
                      "Stop in time, with exit code 75: auto (Slurm's limit), none, seconds, "
                      "MM:SS or HH:MM:SS");
  command
      ->add_option("--collective-timeout", arguments.stall_timeout_s,
                   "End the job when a rank does not move for this many seconds; 0: never")
      ->check(CLI::Range(0.0, 86400.0));
  command->add_flag("--accept-build-change", arguments.accept_build_change,
                    "Go on from the state of another build of this program");
  command->add_flag("--start-anyway", arguments.start_anyway,
                    "Only warn where memory or disk seem not to be enough");
}

void add_run(CLI::App& app, const std::string& name, const std::string& text, LastStage last,
             Action& action) {
  auto arguments = std::make_shared<RunArguments>();
  arguments->last = last;
  CLI::App* command = app.add_subcommand(name, text);
  add_job_options(command, *arguments);
  command
      ->add_option("--resume", arguments->resume,
                   "State of an earlier run in work.dir: auto: go on from it; never: refuse; "
                   "require: refuse to begin without")
      ->check(CLI::IsMember({"auto", "never", "require"}));
  add_run_options(command, *arguments);
  command->callback([arguments, &action] {
    action = [arguments](comm::Communicator& comm) { run_job(comm, *arguments); };
  });
}

void add_sweep(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<SweepArguments>();
  CLI::App* sweep = app.add_subcommand("sweep", "Many outputs of one model from one measurement");
  sweep->require_subcommand(1);
  CLI::App* run = sweep->add_subcommand("run", "Measure once, then make every point");
  add_job_options(run, arguments->run);
  run->add_option("--point", arguments->point, "This point alone, as numbered by `sweep list`")
      ->check(CLI::NonNegativeNumber);
  add_run_options(run, arguments->run);
  run->callback([arguments, &action] {
    action = [arguments](comm::Communicator& comm) { run_sweep(comm, *arguments); };
  });
  CLI::App* list = sweep->add_subcommand("list", "The numbered points, and which are done");
  add_job_options(list, arguments->run);
  list->callback([arguments, &action] {
    action = [arguments](comm::Communicator&) { list_sweep(*arguments); };
  });
  CLI::App* summary = sweep->add_subcommand(
      "summary", "Write and print the table of all points, and show them in every report");
  add_job_options(summary, arguments->run);
  summary->callback([arguments, &action] {
    action = [arguments](comm::Communicator&) { summarize_sweep(*arguments); };
  });
}

bool saves_its_state(const CLI::App& app) {
  return app.got_subcommand("run") || app.got_subcommand("measure") ||
         app.got_subcommand("quantize") || app.get_subcommand("sweep")->got_subcommand("run");
}

void list_fault_points() {
  for (std::size_t i = 0; !faults::point_name(i).empty(); ++i) {
    fmt::print("{}\n", faults::point_name(i));
  }
}

void add_eval(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<EvalArguments>();
  CLI::App* command =
      app.add_subcommand("eval", "Perplexity of a plain or EXL2 model folder on text or tokens");
  command->add_option("MODEL_DIR", arguments->model_dir)->required();
  CLI::Option* tokens = command->add_option("--tokens", arguments->tokens,
                                            "int32 stream, or safetensors with input_ids");
  command
      ->add_option("--text", arguments->texts,
                   "Text, JSON lines or a JSON list, or a folder of them; may be repeated: figures "
                   "by file as well")
      ->excludes(tokens);
  command->add_option("--kind", arguments->kind, "Of --text: auto, text, jsonl or json")
      ->check(CLI::IsMember({"auto", "text", "jsonl", "json"}));
  command->add_option("--field", arguments->field, "Field of a JSON object with the text");
  command->add_option("--separator", arguments->separator, "Between the documents of --text");
  command
      ->add_option("--bos", arguments->bos,
                   "BOS before every document of --text, every row, or nowhere; auto: as the "
                   "tokenizer does by itself")
      ->check(CLI::IsMember({"auto", "document", "row", "none"}));
  command->add_option("--rows", arguments->rows, "Rows to use, from the start; 0: all there are")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--length", arguments->length,
                   "Tokens of a row: documents of --text are cut into such; by default 2048, or as "
                   "many as the model has positions")
      ->check(CLI::Range(2, 1 << 20));
  command->add_option("--against", arguments->against,
                      "Unquantized folder: print the KL divergence from it as well");
  command->add_option("--threads", arguments->threads, "Host threads of a rank")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--json", arguments->json, "Print one JSON object");
  add_link_option(command, arguments->follow_symlinks);
  command->callback([arguments, tokens, &action] {
    if (arguments->texts.empty() && tokens->count() == 0) {
      throw CLI::RequiredError("--tokens or --text");
    }
    if (arguments->texts.empty() && arguments->length == 0) throw CLI::RequiredError("--length");
    action = [arguments](comm::Communicator& comm) { evaluate(comm, *arguments); };
  });
}

void add_verify(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<VerifyArguments>();
  CLI::App* command = app.add_subcommand("verify", "Strict check of an EXL2 folder");
  command->add_option("MODEL_DIR", arguments->model_dir)->required();
  command->add_option("--against", arguments->against,
                      "Unquantized source folder: print the error of every layer's weights");
  add_link_option(command, arguments->follow_symlinks);
  command->callback(
      [arguments, &action] { action = [arguments](comm::Communicator&) { verify(*arguments); }; });
}

void add_plan(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<PlanArguments>();
  CLI::App* command = app.add_subcommand(
      "plan", "What a job will take: work, balance, memory, disk and time, for imagined ranks");
  command->add_option("TARGET", arguments->target, "Job file, or folder with a config.json");
  command->add_option("--config", arguments->config_file, "config.json of a model, alone");
  command->add_option("-s,--set", arguments->overrides,
                      "Override one setting, as calibration.rows=256; may be repeated");
  command->add_option("--ranks", arguments->ranks, "Numbers of ranks, separated by commas")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--machine", arguments->machine,
                      "Machine profile: a name of configs/machines, or a file like those");
  add_link_option(command, arguments->follow_symlinks);
  CLI::Option* sbatch =
      command->add_flag("--sbatch", arguments->sbatch,
                        "Print the header of a Slurm batch script for the first number of ranks");
  command
      ->add_flag("--json", arguments->json, "Print one JSON object, with every item and its rank")
      ->excludes(sbatch);
  command->callback([arguments, &action] {
    action = [arguments](comm::Communicator&) { plan_job(*arguments); };
  });
}

void add_tokenize(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<TokenizeArguments>();
  CLI::App* command = app.add_subcommand("tokenize", "Token stream of text, with its counts");
  command
      ->add_option("TOKENIZER", arguments->tokenizer,
                   "tokenizer.json, tokenizer.model, or a model folder")
      ->required();
  command->add_option("INPUT", arguments->inputs, "Text, JSON lines, or folders of them")
      ->required();
  command->add_option("--kind", arguments->kind, "auto, text, jsonl or json")
      ->check(CLI::IsMember({"auto", "text", "jsonl", "json"}));
  command->add_option("--field", arguments->field, "Field of a JSON object with the text");
  command->add_option("--separator", arguments->separator,
                      "Between the documents of a text file; empty: a file is one document");
  const auto set_bos = [arguments](std::int64_t count) {
    arguments->bos = count > 0 ? "document" : "none";
  };
  command->add_flag_function("--bos,!--no-bos", set_bos,
                             "BOS before every document, or before none; left out: as the "
                             "tokenizer does by itself");
  command->add_option("--out", arguments->out, "Write the stream of int32 here");
  command->add_flag("--force", arguments->force, "Overwrite an existing file");
  command->add_flag("--show", arguments->show, "Print the first tokens of every document");
  command->callback([arguments, &action] {
    action = [arguments](comm::Communicator&) { tokenize(*arguments); };
  });
}

void add_inspect(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* command =
      app.add_subcommand("inspect", "What a model folder, measurement, plan or state file holds");
  command->add_option("PATH", arguments->path)->required();
  add_link_option(command, arguments->follow_symlinks);
  command->callback(
      [arguments, &action] { action = [arguments](comm::Communicator&) { inspect(*arguments); }; });
}

void add_completion(CLI::App& app, Action& action) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("completion", "Script that completes commands and options in a shell");
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([shell, &app, &action] {
    action = [script = completion_script(app, *shell)](comm::Communicator&) {
      std::fputs(script.c_str(), stdout);
    };
  });
}

// Of the program itself. They end the reading of the command line when they are met.
void add_program_flags(CLI::App& app) {
  app.set_version_flag("--version", version_text, "Versions of the program and its libraries");
  app.add_flag_callback(
         "--manual-page",
         [&app] {
           std::fputs(manual_page(app).c_str(), stdout);
           throw CLI::Success();
         },
         "For the build, which installs it")
      ->group("");
  if constexpr (faults::are_compiled_in()) {
    app.add_flag_callback(
        "--list-fault-points",
        [] {
          list_fault_points();
          throw CLI::Success();
        },
        "Places of this test build where SHARDQUANT_FAULT can make it fail");
  }
}

void add_commands(CLI::App& app, Action& action) {
  add_run(app, "run", "Everything: a Hugging Face folder in, an EXL2 folder out",
          LastStage::quantize, action);
  add_run(app, "measure", "Calibrate and measure (also for a sweep); ends with measurement.json",
          LastStage::measure, action);
  add_run(app, "quantize",
          "Allocate and quantize from what was measured, measuring what is missing",
          LastStage::quantize, action);
  add_sweep(app, action);
  add_eval(app, action);
  add_verify(app, action);
  add_inspect(app, action);
  add_tokenize(app, action);
  add_plan(app, action);
  add_solve_command(app, action);
  add_completion(app, action);
}

}  // namespace

Call parse_command_line(int argc, char** argv, bool tells) {
  CLI::App app("Mixed-bit EXL2 quantization of large language models over MPI ranks", "shardquant");
  app.require_subcommand(1);
  Call call;
  add_program_flags(app);
  add_commands(app, call.action);
  add_examples(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      if (tells) app.exit(error);
      return {};
    }
    const std::string text =
        usage_error(app, std::span(argv, static_cast<std::size_t>(argc)), error);
    if (tells) fmt::print(stderr, "shardquant: error: {}\n", text);
    return {.action = {}, .exit_code = static_cast<int>(ExitCode::usage)};
  }
  const bool saves = saves_its_state(app);
  if (!saves) control::release_stop_signals();
  call.on_all_ranks = saves || app.got_subcommand("eval");
  return call;
}

}  // namespace shardquant::commands
