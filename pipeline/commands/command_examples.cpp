#include "pipeline/commands/command_examples.hpp"

#include <array>
#include <string>
#include <string_view>

#include "pipeline/failure.hpp"

namespace shardquant::commands {

namespace {

struct Examples {
  std::string_view command;  // "sweep run"; the program's own: empty
  std::string_view lines;
};

constexpr std::array kExamples = {
    Examples{"",
             "  mpirun -n 8 shardquant run job.yaml\n"
             "  shardquant solve --measurement measurement.json --bpw 4.0 --print\n"
             "  mpirun -n 8 shardquant eval out --text test.txt\n"
             "Every command has examples of its own: shardquant run --help"},
    Examples{"run",
             "  mpirun -n 8 shardquant run job.yaml\n"
             "  shardquant run job.yaml -s allocate.bpw=5.0 -s output.dir=out5\n"
             "  srun --mpi=pmix shardquant run job.yaml --max-time 07:30:00"},
    Examples{"measure",
             "  mpirun -n 8 shardquant measure job.yaml\n"
             "  mpirun -n 8 shardquant measure job.yaml -s calibration.rows=256"},
    Examples{"quantize",
             "  mpirun -n 8 shardquant quantize job.yaml\n"
             "  shardquant quantize job.yaml -s allocate.bpw=3.5 -s output.dir=out3.5"},
    Examples{"sweep",
             "  shardquant sweep list job.yaml\n"
             "  mpirun -n 8 shardquant sweep run job.yaml\n"
             "  shardquant sweep summary job.yaml"},
    Examples{"sweep run",
             "  mpirun -n 8 shardquant sweep run job.yaml\n"
             "  srun --mpi=pmix shardquant sweep run job.yaml --point $SLURM_ARRAY_TASK_ID"},
    Examples{"sweep list", "  shardquant sweep list job.yaml"},
    Examples{"sweep summary", "  shardquant sweep summary job.yaml"},
    Examples{"solve",
             "  shardquant solve --measurement measurement.json --bpw 4.0 --print\n"
             "  shardquant solve --measurement measurement.json --size 24GiB --model models/70B\n"
             "  shardquant solve --measurement measurement.json --bpw 4 --floor '*.o_proj=4' --out "
             "plan.json\n"
             "  shardquant solve --measurement measurement.json --frontier 2.5:6:0.25 --out "
             "frontier.json"},
    Examples{
        "eval",
        "  shardquant eval out --text test.txt\n"
        "  mpirun -n 8 shardquant eval out --tokens eval.i32 --length 2048 --against models/7B"},
    Examples{"tokenize",
             "  shardquant tokenize models/7B stories.txt --show\n"
             "  shardquant tokenize models/7B corpus/ --field content --out tokens.i32"},
    Examples{"verify",
             "  shardquant verify out\n"
             "  shardquant verify out --against models/7B"},
    Examples{"plan",
             "  shardquant plan job.yaml --machine h200-peak --ranks 8,64\n"
             "  shardquant plan --config config.json --ranks 64\n"
             "  shardquant plan job.yaml --ranks 16 --sbatch >job.sbatch"},
    Examples{"inspect",
             "  shardquant inspect models/7B\n"
             "  shardquant inspect out/measurement.json\n"
             "  shardquant inspect work/measurements/model.layers.0.mlp.up_proj.h5"},
    Examples{"completion",
             "  source <(shardquant completion bash)\n"
             "  shardquant completion fish >~/.config/fish/completions/shardquant.fish"},
};

void add_examples_of(CLI::App& command, const std::string& name) {
  for (const Examples& examples : kExamples) {
    if (examples.command != name) continue;
    std::string text = command.get_footer();
    if (!text.empty()) text += "\n\n";
    command.footer(text + "Examples:\n" + std::string(examples.lines));
    for (CLI::App* part : command.get_subcommands({})) {
      if (part->get_name().empty()) continue;  // a group of options
      add_examples_of(*part, name.empty() ? part->get_name() : name + ' ' + part->get_name());
    }
    return;
  }
  fail(ExitCode::internal, "the command {} has no example", name);
}

}  // namespace

void add_examples(CLI::App& app) {
  add_examples_of(app, "");
}

}  // namespace shardquant::commands
