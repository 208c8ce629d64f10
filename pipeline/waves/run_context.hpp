#pragma once

#include <string>

#include "kernels/api/backend.hpp"
#include "pipeline/checkpoint/work_folder.hpp"
#include "pipeline/comm/communicator.hpp"
#include "pipeline/config/run_config.hpp"
#include "pipeline/control/run_control.hpp"
#include "pipeline/formats/token_stream.hpp"
#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/report/event_collector.hpp"
#include "pipeline/report/events.hpp"
#include "pipeline/report/log.hpp"
#include "pipeline/waves/device_link.hpp"
#include "pipeline/waves/sum_over_slices.hpp"

namespace shardquant::waves {

/// Who takes part in a job and who is told of it; only root's reporters do anything.
struct Ranks {
  comm::Communicator& comm;
  control::RunControl& control;
  report::Log& log;
  report::EventLog& events;
  double begun_s = 0.0;                         ///< when this job began, on the log's clock
  report::EventCollector* collector = nullptr;  ///< of the other ranks' events, on root
};

/// What is to be done, of which model, and where its state lies; the same on all ranks.
struct Job {
  const config::RunConfig& config;
  const model::SourceModel& model;
  const formats::TokenStream& tokens;
  const checkpoint::WorkFolder& work;
  std::string fingerprint;           ///< of all that the results depend on
  std::string hessians_fingerprint;  ///< of what Hessians and perplexity depend on
  Slices slices;
  kernels::QuantizerSettings settings;
  const weights::WeightFormat& format;  ///< of the output
};

/// What this rank computes with.
struct Engine {
  kernels::Backend& backend;
  DeviceLink* device_link = nullptr;  ///< null: partial Hessians go through host memory
};

/// All three, for what drives a stage. Functions take the part that they need.
struct RunContext : Ranks, Job, Engine {};

}  // namespace shardquant::waves
