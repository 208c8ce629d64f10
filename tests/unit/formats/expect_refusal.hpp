#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "pipeline/failure.hpp"

namespace shardquant::tests {

/// Expects `action` to throw a Failure of that code whose text holds every one of `parts`.
template <class Action>
void expect_refusal(Action action, ExitCode code, std::initializer_list<std::string> parts) {
  try {
    action();
    ADD_FAILURE() << "nothing was thrown; expected: " << *parts.begin();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), code) << failure.what();
    for (const std::string& part : parts) {
      EXPECT_THAT(failure.what(), testing::HasSubstr(part));
    }
  }
}

}  // namespace shardquant::tests
