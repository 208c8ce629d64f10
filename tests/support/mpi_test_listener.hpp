#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace shardquant::tests {

/// Reports a test program that runs on several MPI ranks as one: root alone prints, through the
/// printer that GoogleTest came with, and a test has failed when it failed on any rank; failures of
/// the other ranks appear on root with their rank.
class MpiTestListener final : public testing::EmptyTestEventListener {
 public:
  /// printer: null on all ranks but 0
  explicit MpiTestListener(std::unique_ptr<testing::TestEventListener> printer)
      : printer_(std::move(printer)) {}

  void OnTestProgramStart(const testing::UnitTest& program) override;
  void OnTestSuiteStart(const testing::TestSuite& suite) override;
  void OnTestStart(const testing::TestInfo& test) override;
  void OnTestPartResult(const testing::TestPartResult& result) override;
  /// Collective: every rank ends every test.
  void OnTestEnd(const testing::TestInfo& test) override;
  void OnTestSuiteEnd(const testing::TestSuite& suite) override;
  void OnTestProgramEnd(const testing::UnitTest& program) override;

  bool failed() const { return failed_; }

 private:
  std::unique_ptr<testing::TestEventListener> printer_;
  std::string failures_;  ///< of this rank in the running test
  bool failed_ = false;
};

}  // namespace shardquant::tests
