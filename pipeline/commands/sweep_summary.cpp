#include "pipeline/commands/sweep_summary.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/work_folder.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/folder_files.hpp"
#include "pipeline/report/model_card.hpp"

namespace shardquant::commands {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostReportBytes = std::int64_t{1} << 30;

bool made_by(const std::string& settings, const config::RunConfig& job) {
  try {
    return config::output_identity(config::parse_run_config(settings, "report", "/", {})) ==
           config::output_identity(job);
  } catch (const Failure&) {
    return false;  // by another version of the program
  }
}

std::optional<report::OutputFigures> figures_of(const config::SweepPoint& point) {
  const fs::path path = checkpoint::WorkFolder(point.job.work.dir).report();
  std::error_code error;
  if (!fs::exists(path, error) || !fs::exists(point.job.output.dir / "config.json", error)) {
    return std::nullopt;
  }
  auto figures = report::parse_output_figures(checkpoint::read_whole(path, kMostReportBytes));
  if (figures && !made_by(figures->settings, point.job)) figures.reset();
  return figures;
}

// What a job that was killed here left. Another that is at it now is done within seconds.
void remove_old_temporaries(const fs::path& folder) {
  constexpr std::chrono::minutes kOld{10};
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code unreadable;
    const auto written = entry->last_write_time(unreadable);
    if (name.starts_with("sweep.") && name.find(".tmp.") != std::string::npos && !unreadable &&
        fs::file_time_type::clock::now() - written > kOld) {
      fs::remove(entry->path(), unreadable);
    }
  }
}

void put_sizes_into_card(const fs::path& output, const std::vector<report::SweepRow>& rows) {
  std::vector<report::ModelCard::Sibling> sizes;
  for (const report::SweepRow& row : rows) {
    if (!row.figures) continue;
    const report::RunReport::Output& figures = row.figures->output;
    sizes.push_back({fs::path(row.folder).filename().string(), figures.bpw, figures.weight_bytes,
                     row.figures->evaluation ? row.figures->evaluation->perplexity : 0.0});
  }
  const fs::path path = output / formats::kModelCardName;
  std::error_code error;
  if (!fs::exists(path, error)) return;
  const std::string old = checkpoint::read_whole(path, kMostReportBytes);
  const std::string card = report::with_siblings(old, sizes);
  if (card != old) formats::write_file(path, card, formats::Overwrite::yes);
}

}  // namespace

std::vector<report::SweepRow> describe_sweep(const config::Sweep& sweep) {
  std::vector<report::SweepRow> rows;
  for (const config::SweepPoint& point : sweep.points) {
    rows.push_back(
        {rows.size(), point.name, point.values, point.job.output.dir.string(), figures_of(point)});
  }
  return rows;
}

std::vector<report::SweepRow> write_sweep_summary(const config::Sweep& sweep) {
  checkpoint::create_folders_durably(sweep.output_dir);
  remove_old_temporaries(sweep.output_dir);
  std::vector<report::SweepRow> rows = describe_sweep(sweep);
  std::string written;
  // Another job may have finished its point, and have written, since the points were read: what is
  // written last must be what is read after it.
  for (std::string json = report::sweep_json(rows); json != written;
       rows = describe_sweep(sweep), json = report::sweep_json(rows)) {
    checkpoint::write_durably(sweep.output_dir / "sweep.json", json);
    checkpoint::write_durably(sweep.output_dir / "sweep.csv", report::sweep_csv(rows));
    checkpoint::write_durably(sweep.output_dir / "sweep.txt", report::sweep_text(rows));
    written = json;
  }
  return rows;
}

void put_points_into_report(const config::SweepPoint& point,
                            const std::vector<report::SweepRow>& rows) {
  std::vector<report::RunReport::Point> points;
  for (const report::SweepRow& row : rows) {
    if (row.figures && row.figures->evaluation) points.push_back(*row.figures->evaluation);
  }
  std::stable_sort(points.begin(), points.end(),
                   [](const auto& a, const auto& b) { return a.bpw < b.bpw; });
  put_sizes_into_card(point.job.output.dir, rows);
  const checkpoint::WorkFolder work(point.job.work.dir);
  const std::string old = checkpoint::read_whole(work.report(), kMostReportBytes);
  const std::string json = report::with_points(old, points);
  if (json.empty() || json == old) return;
  checkpoint::write_durably(work.report(), json);
  checkpoint::write_durably(work.report_page(), report::report_page(json));
}

}  // namespace shardquant::commands
