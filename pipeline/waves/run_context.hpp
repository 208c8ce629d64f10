#pragma once

#include <span>
#include <string>

#include "kernels/api/backend.hpp"
#include "pipeline/checkpoint/work_folder.hpp"
#include "pipeline/comm/communicator.hpp"
#include "pipeline/config/run_config.hpp"
#include "pipeline/control/run_control.hpp"
#include "pipeline/formats/token_stream.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/report/event_collector.hpp"
#include "pipeline/report/events.hpp"
#include "pipeline/report/log.hpp"
#include "pipeline/waves/device_link.hpp"
#include "pipeline/waves/sum_over_slices.hpp"

namespace shardquant::waves {

/// Everything a stage works with, passed down as one value; the same on all ranks but for `comm`,
/// `backend` and the two reporters, which only root's do anything.
struct RunContext {
  comm::Communicator& comm;
  kernels::Backend& backend;
  const config::RunConfig& config;
  const model::SourceModel& model;
  const formats::TokenStream& tokens;
  const checkpoint::WorkFolder& work;
  report::Log& log;
  report::EventLog& events;
  control::RunControl& control;

  double begun_s = 0.0;              ///< when this job began, on the log's clock
  std::string fingerprint;           ///< of all that the results depend on
  std::string hessians_fingerprint;  ///< of what Hessians and perplexity depend on
  Slices slices;
  kernels::QuantizerSettings settings;
  std::span<const exl2::QuantOption> options;
  DeviceLink* device_link = nullptr;            ///< null: partial Hessians go through host memory
  report::EventCollector* collector = nullptr;  ///< of the other ranks' events, on root
};

}  // namespace shardquant::waves
