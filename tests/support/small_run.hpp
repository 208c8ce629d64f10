#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "kernels/make_backend.hpp"
#include "pipeline/comm/local_communicator.hpp"
#include "pipeline/formats/weights/exl2/exl2_format.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/waves/run_context.hpp"
#include "tests/support/make_model.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::tests {

/// All that stages work with, for a small model in a folder of its own: one rank, CPU back end.
class SmallRun {
 public:
  static constexpr std::int64_t kRows = 7, kLength = 32, kSliceRows = 3;

  explicit SmallRun(const MakeModelOptions& options = small_model()) : options_(options) {
    make_model(folder_.path() / "model", options_);
    make_tokens(tokens_file(), kRows * kLength, options_.vocab, 11);
    config_.model.path = folder_.path() / "model";
    config_.calibration.tokens = tokens_file();
    config_.calibration.rows = kRows;
    config_.calibration.length = kLength;
    config_.calibration.slice_rows = kSliceRows;
    config_.output.dir = folder_.path() / "out";
    config_.work.dir = folder_.path() / "work";
    model_ = std::make_unique<model::SourceModel>(config_.model.path);
    tokens_ = std::make_unique<formats::TokenStream>(tokens_file());
    work_ =
        std::make_unique<checkpoint::WorkFolder>(checkpoint::WorkFolder::create(config_.work.dir));
    std::string reason;
    backend_ = kernels::make_backend(kernels::DeviceKind::cpu, 1, reason);
  }

  static MakeModelOptions small_model() {
    MakeModelOptions options;
    options.hidden = 64;
    options.heads = 4;
    options.kv_heads = 2;
    options.ffn = 96;
    options.layers = 2;
    options.vocab = 80;
    return options;
  }

  /// Of the settings as they are in config() now.
  waves::RunContext context() {
    return {{comm_, control_, log_, events_, 0.0},
            {config_,
             *model_,
             *tokens_,
             *work_,
             "run",
             "hessians",
             {config_.calibration.rows, config_.calibration.slice_rows, kLength},
             {},
             exl2::exl2_format()},
            {*backend_, nullptr}};
  }

  config::RunConfig& config() { return config_; }
  const model::SourceModel& model() const { return *model_; }
  const formats::TokenStream& tokens() const { return *tokens_; }
  kernels::Backend& backend() { return *backend_; }
  const checkpoint::WorkFolder& work() const { return *work_; }

 private:
  std::filesystem::path tokens_file() const { return folder_.path() / "tokens.i32"; }

  TempDirectory folder_;
  MakeModelOptions options_;
  config::RunConfig config_;
  comm::LocalCommunicator comm_;
  control::RunControl control_{comm_, {}};
  report::Log log_{{.enabled = false}};
  report::EventLog events_;
  std::unique_ptr<model::SourceModel> model_;
  std::unique_ptr<formats::TokenStream> tokens_;
  std::unique_ptr<checkpoint::WorkFolder> work_;
  std::unique_ptr<kernels::Backend> backend_;
};

}  // namespace shardquant::tests
