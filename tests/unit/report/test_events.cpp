#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "pipeline/failure.hpp"
#include "pipeline/report/events.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::tests {
namespace {

using nlohmann::ordered_json;
using report::EventLog;
using testing::HasSubstr;

class Events : public testing::Test {
 protected:
  std::unique_ptr<EventLog> open() {
    return std::make_unique<EventLog>(
        path, "run7", [this] { return now; }, [] { return "2026-11-24T12:14:53.123Z"; });
  }
  std::string text() const {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  std::vector<ordered_json> records() const {
    std::vector<ordered_json> out;
    std::istringstream stream(text());
    for (std::string line; std::getline(stream, line);) out.push_back(ordered_json::parse(line));
    return out;
  }
  void put(const std::string& bytes) const {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  ExitCode code_of_opening() {
    try {
      open();
    } catch (const Failure& failure) {
      EXPECT_THAT(failure.what(), HasSubstr(path.string()));
      return failure.code();
    }
    return ExitCode::done;
  }

  TempDirectory folder;
  std::filesystem::path path = folder.path() / "events.jsonl";
  double now = 0.0;
};

TEST_F(Events, AreOneLineEachWithTheFixedFieldsFirst) {
  auto log = open();
  now = 1.23456;
  log->write("run_start", "start", {{"ranks", 2}, {"bits", 4.25}, {"gpu", false}});
  log->write("phase_start", "measure");
  EXPECT_EQ(text(),
            "{\"schema\":1,\"ts\":\"2026-11-24T12:14:53.123Z\",\"t\":1.235,\"run_id\":\"run7\","
            "\"restart\":0,\"event\":\"run_start\",\"phase\":\"start\",\"ranks\":2,\"bits\":4.25,"
            "\"gpu\":false}\n"
            "{\"ts\":\"2026-11-24T12:14:53.123Z\",\"t\":1.235,\"run_id\":\"run7\",\"restart\":0,"
            "\"event\":\"phase_start\",\"phase\":\"measure\"}\n");
}

TEST_F(Events, KeepValuesExactlyAndTextSafe) {
  auto log = open();
  const std::string odd = "quote \" slash \\ line\nnul \x01 µ";
  log->write("e", "p",
             {{"text", odd},
              {"bytes", "\xff\xfe ok"},
              {"big", std::numeric_limits<std::int64_t>::max()},
              {"third", 1.0 / 3.0},
              {"nan", std::nan("")},
              {"inf", -std::numeric_limits<double>::infinity()},
              {"single", 0.5f},
              {"size", std::size_t{7}}});
  const ordered_json record = records().at(0);
  EXPECT_EQ(record["text"], odd);
  EXPECT_EQ(record["bytes"], "\xef\xbf\xbd\xef\xbf\xbd ok");
  EXPECT_EQ(record["big"], std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(record["third"], 1.0 / 3.0);
  EXPECT_TRUE(record["nan"].is_null());
  EXPECT_TRUE(record["inf"].is_null());
  EXPECT_EQ(record["single"], 0.5);
  EXPECT_EQ(record["size"], 7);
}

TEST_F(Events, AReservedOrRepeatedKeyIsInternal) {
  auto log = open();
  for (const char* key : {"ts", "t", "run_id", "restart", "event", "phase", "schema"}) {
    EXPECT_THROW(log->write("e", "p", {{key, 1}}), Failure) << key;
  }
  EXPECT_THROW(log->write("e", "p", {{"a", 1}, {"a", 2}}), Failure);
  EXPECT_EQ(text(), "");
}

TEST_F(Events, AreAppendedAfterARestart) {
  open()->write("run_start", "start");
  const std::string before = text();
  for (int restart = 1; restart <= 3; ++restart) {
    auto log = open();
    EXPECT_EQ(log->restart(), restart);
    log->write("run_start", "start");
  }
  EXPECT_EQ(text().substr(0, before.size()), before);
  ASSERT_EQ(records().size(), 4u);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(records()[i]["restart"], i);
  EXPECT_TRUE(records()[0].contains("schema"));
  EXPECT_FALSE(records()[1].contains("schema"));
}

TEST_F(Events, AnIncompleteLastLineIsCutOff) {
  auto log = open();
  log->write("run_start", "start");
  const std::string first = text();
  log->write("phase_start", "measure", {{"long", std::string(200000, 'x')}});
  log.reset();
  const std::string both = text();
  for (const std::size_t size : {both.size() - 1, first.size() + 1, first.size() + 70000}) {
    put(both.substr(0, size));
    open();
    EXPECT_EQ(text(), first) << size;
  }
  put(first.substr(0, first.size() - 1));
  EXPECT_EQ(open()->restart(), 0);
  EXPECT_EQ(text(), "");
  put(both);
  EXPECT_EQ(open()->restart(), 1);
  EXPECT_EQ(text(), both);
}

TEST_F(Events, AForeignFileIsRefusedAndLeftAlone) {
  for (const std::string& foreign :
       {std::string("hello\n"), std::string("{\"schema\":2,\"restart\":0}\n"),
        std::string("{\"schema\":1}\n"), std::string("[1]\n"),
        std::string("{\"schema\":1,\"restart\":0}\ngarbage\n"), std::string("\n")}) {
    put(foreign + "tail");
    EXPECT_EQ(code_of_opening(), ExitCode::bad_data) << foreign;
    EXPECT_EQ(text(), foreign + "tail");
  }
}

TEST_F(Events, OpeningFailsWithTheCodeOfItsCause) {
  path = folder.path() / "absent" / "events.jsonl";
  EXPECT_EQ(code_of_opening(), ExitCode::cannot_create);
  path = folder.path();
  EXPECT_EQ(code_of_opening(), ExitCode::cannot_create);
}

TEST_F(Events, ARecordThatDoesNotFitTheDiskIsTakenBack) {
  auto log = open();
  log->write("run_start", "start");
  const std::string before = text();
  struct rlimit old {};
  ::getrlimit(RLIMIT_FSIZE, &old);
  struct rlimit limit = old;
  limit.rlim_cur = before.size() + 20;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  ExitCode code = ExitCode::done;
  try {
    log->write("phase_start", "measure");
  } catch (const Failure& failure) {
    code = failure.code();
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(code, ExitCode::io_error);
  EXPECT_EQ(text(), before);
  log->write("phase_start", "measure");
  EXPECT_EQ(records().size(), 2u);
}

TEST_F(Events, OfSeveralThreadsStayWhole) {
  auto log = open();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) log->write("e", "p", {{"thread", t}, {"i", i}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(records().size(), 800u);
}

TEST(DisabledEvents, GoNowhere) {
  EventLog log;
  log.write("run_start", "start", {{"ts", 1}});
  EXPECT_EQ(log.restart(), 0);
}

TEST(UtcNow, IsIsoWithMilliseconds) {
  EXPECT_THAT(report::utc_now(),
              testing::MatchesRegex("20[0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:"
                                    "[0-6][0-9]\\.[0-9][0-9][0-9]Z"));
}

}  // namespace
}  // namespace shardquant::tests
