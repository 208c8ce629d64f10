#include "pipeline/stages/run_pipeline.hpp"

#include "pipeline/stages/allocate_bits.hpp"
#include "pipeline/stages/check_plain_numbers.hpp"
#include "pipeline/stages/measure_model.hpp"
#include "pipeline/stages/numerical_report.hpp"
#include "pipeline/stages/quantize_model.hpp"

namespace shardquant::stages {

namespace {

void log_balance(const RunContext& context, const Balance& balance) {
  if (context.comm.is_root() && balance.items() > 0) context.log.line("balance", balance.text());
}

}  // namespace

void run_pipeline(const RunContext& context, bool measure_only) {
  check_plain_numbers(context);
  const bool keep_hessians = decide_keep_hessians(context);
  const MeasuredModel measured = measure_model(context, keep_hessians);
  if (measure_only) {
    log_balance(context, measured.balance);
    report_numerics(context, measured.layers, nullptr);
    return;
  }
  const AllocatedModel allocated = allocate_bits(context, measured.measurement);
  const Balance quantized = quantize_model(context, allocated, keep_hessians);
  log_balance(context, measured.balance);
  log_balance(context, quantized);
  report_numerics(context, measured.layers, &allocated.plan);
}

}  // namespace shardquant::stages
