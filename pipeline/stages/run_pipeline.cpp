#include "pipeline/stages/run_pipeline.hpp"

#include "pipeline/stages/allocate_bits.hpp"
#include "pipeline/stages/check_plain_numbers.hpp"
#include "pipeline/stages/evaluate_model.hpp"
#include "pipeline/stages/measure_model.hpp"
#include "pipeline/stages/numerical_report.hpp"
#include "pipeline/stages/quantize_model.hpp"
#include "pipeline/stages/stage_times.hpp"
#include "pipeline/stages/write_card.hpp"
#include "pipeline/stages/write_report.hpp"

namespace shardquant::stages {

void run_pipeline(const RunContext& context, bool measure_only) {
  StageTimes times(context.comm);
  check_plain_numbers(context);
  check_validation_rows(context);
  times.finish("check");
  const bool keep_hessians = decide_keep_hessians(context);
  const MeasuredModel measured = measure_model(context, keep_hessians);
  times.finish("measure");
  if (measure_only) {
    report_numerics(context, measured.layers, nullptr);
    return;
  }
  const AllocatedModel allocated = allocate_bits(context, measured.measurement);
  times.finish("allocate");
  quantize_model(context, allocated, keep_hessians);
  times.finish("quantize");
  const std::optional<Evaluation> evaluation = evaluate_model(context, allocated);
  times.finish("evaluate");
  write_card(context, allocated, evaluation);
  report_numerics(context, measured.layers, &allocated.plan);
  write_report(context, measured, allocated, evaluation, times);
}

}  // namespace shardquant::stages
