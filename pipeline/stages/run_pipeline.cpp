#include "pipeline/stages/run_pipeline.hpp"

#include "pipeline/stages/allocate_bits.hpp"
#include "pipeline/stages/check_plain_numbers.hpp"
#include "pipeline/stages/evaluate_model.hpp"
#include "pipeline/stages/given_files.hpp"
#include "pipeline/stages/measure_model.hpp"
#include "pipeline/stages/measure_sensitivity.hpp"
#include "pipeline/stages/numerical_report.hpp"
#include "pipeline/stages/quantize_model.hpp"
#include "pipeline/stages/stage_times.hpp"
#include "pipeline/stages/write_card.hpp"
#include "pipeline/stages/write_report.hpp"

namespace shardquant::stages {

namespace {

void log_balance(const waves::RunContext& context, const Balance& balance) {
  if (context.comm.is_root() && balance.items() > 0) context.log.line("balance", balance.text());
}

}  // namespace

void run_pipeline(const waves::RunContext& context, bool measure_only) {
  StageTimes times(context.comm);
  check_plain_numbers(context);
  check_validation_rows(context);
  check_given_files(context);
  check_sensitivity(context);
  times.finish("check");
  const bool keep_hessians = decide_keep_hessians(context);
  MeasuredModel measured = measure_model(context, keep_hessians);
  times.finish("measure");
  measure_sensitivity(context, measure_only ? 0.0 : cost_of_later_stages(context, keep_hessians),
                      measured.measurement);
  if (context.config.wants_sensitivities()) times.finish("sensitivity");
  if (measure_only) {
    log_balance(context, measured.balance);
    report_numerics(context, measured.layers, nullptr);
    return;
  }
  const output::AllocatedModel allocated = allocate_bits(context, measured.measurement);
  times.finish("allocate");
  const Balance quantized = quantize_model(context, allocated, keep_hessians);
  times.finish("quantize");
  const std::optional<Evaluation> evaluation = evaluate_model(context, allocated);
  times.finish("evaluate");
  write_card(context, allocated, evaluation);
  log_balance(context, measured.balance);
  log_balance(context, quantized);
  report_numerics(context, measured.layers, &allocated.output.options);
  write_report(context, measured, allocated, evaluation, times);
}

}  // namespace shardquant::stages
