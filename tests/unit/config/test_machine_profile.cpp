#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/config/machine_profile.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::config {
namespace {

using testing::HasSubstr;

constexpr const char* kProfile =
    "version: 1\n"
    "about: two of them\n"
    "node: {ranks: 2, cores: 8, host_gib: 31.5}\n"
    "device: {memory_gib: 0}\n"
    "rates_are: per_thread\n"
    "forward_gflops: 100\n"
    "hessian_gflops: 125\n"
    "factor_gflops: 28\n"
    "update_gflops: 102\n"
    "search_gsteps: 3.3\n"
    "sweep_gweights: 0.25\n"
    "read_gb_s: 1\n"
    "write_gb_s: 0.5\n"
    "network_gb_s: 2\n";

std::string changed(const std::string& from, const std::string& to) {
  std::string text = kProfile;
  text.replace(text.find(from), from.size(), to);
  return text;
}

std::string refusal_of(const std::string& text) {
  try {
    parse_machine_profile(text, "m.yaml");
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::config);
    return failure.what();
  }
  return "";
}

TEST(MachineProfile, HasWhatTheFileSays) {
  const MachineProfile profile = parse_machine_profile(kProfile, "folder/name.yaml");
  EXPECT_EQ(profile.name, "name");
  EXPECT_EQ(profile.about, "two of them");
  EXPECT_EQ(profile.ranks_per_node, 2);
  EXPECT_EQ(profile.cores_per_node, 8);
  EXPECT_EQ(profile.host_gib, 31.5);
  EXPECT_EQ(profile.device_gib, 0.0);
  EXPECT_TRUE(profile.per_thread);
  EXPECT_EQ(profile.search_gsteps, 3.3);
  EXPECT_EQ(profile.network_gb_s, 2.0);
}

TEST(MachineProfile, RefusesByPlaceAndKey) {
  EXPECT_THAT(refusal_of(changed("cores: 8, ", "")), HasSubstr("node.cores: missing"));
  EXPECT_THAT(refusal_of(changed("read_gb_s: 1", "read_gb_s: 0")), HasSubstr("m.yaml:12:"));
  EXPECT_THAT(refusal_of(changed("read_gb_s: 1", "read_gb_s: fast")), HasSubstr("read_gb_s"));
  EXPECT_THAT(refusal_of(changed("ranks: 2", "ranks: 2.5")), HasSubstr("node.ranks"));
  EXPECT_THAT(refusal_of(changed("per_thread", "per_core")), HasSubstr("per_thread or per_rank"));
  EXPECT_THAT(refusal_of(changed("version: 1", "version: 2")), HasSubstr("version"));
  EXPECT_THAT(refusal_of(std::string(kProfile) + "read_gbs: 3\n"),
              HasSubstr("did you mean read_gb_s?"));
}

TEST(MachineProfile, BuiltInOnesAreFoundByName) {
  EXPECT_THAT(machine_profile_names(), testing::IsSupersetOf({"h200-peak", "xeon-2core"}));
  for (const std::string& name : machine_profile_names()) {
    EXPECT_EQ(find_machine_profile(name).name, name);
  }
  try {
    find_machine_profile("h201");
    ADD_FAILURE() << "not refused";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::config);
    EXPECT_THAT(failure.what(), HasSubstr("xeon-2core"));
  }
  EXPECT_THROW(find_machine_profile("no/such.yaml"), Failure);
}

}  // namespace
}  // namespace shardquant::config
