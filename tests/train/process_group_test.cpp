#include "e5v/train/process_group.h"

#include <gmock/gmock.h>
#include <stdlib.h>
#include <unistd.h>

#include <thread>

#include "e5v/base/error.h"
#include "tests/support/all_close.h"

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;

/// Sets environment variables for one test.
class RankAddressTest : public ::testing::Test {
 protected:
  void set(const char* name, const char* value) {
    ::setenv(name, value, 1);
    names_.push_back(name);
  }
  void TearDown() override {
    for (const char* name : names_) ::unsetenv(name);
  }

 private:
  std::vector<const char*> names_;
};

TEST_F(RankAddressTest, APlainStartIsOneRank) {
  EXPECT_EQ(RankAddress::from_environment().world_size, 1);
}

TEST_F(RankAddressTest, ReadsTheVariablesOfEachLauncher) {
  set("OMPI_COMM_WORLD_RANK", "1");
  set("OMPI_COMM_WORLD_SIZE", "2");
  EXPECT_EQ(RankAddress::from_environment().rank, 1);
  set("RANK", "2");
  set("WORLD_SIZE", "3");
  set("MASTER_ADDR", "10.0.0.7");
  set("MASTER_PORT", "1234");
  const RankAddress address = RankAddress::from_environment();
  EXPECT_EQ(address.rank, 2);
  EXPECT_EQ(address.world_size, 3);
  EXPECT_EQ(address.master_address, "10.0.0.7");
  EXPECT_EQ(address.master_port, 1234);
}

TEST_F(RankAddressTest, SeveralMachinesNeedAMeetingPlace) {
  set("SLURM_PROCID", "0");
  set("SLURM_NTASKS", "4");
  set("SLURM_JOB_NUM_NODES", "2");
  EXPECT_THROW(RankAddress::from_environment(), ConfigError);
}

TEST_F(RankAddressTest, MalformedVariablesAreNamed) {
  set("RANK", "3");
  set("WORLD_SIZE", "2");
  try {
    RankAddress::from_environment();
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("RANK is '3'"));
  }
}

TEST(ProcessGroupTest, AloneEverythingIsWhatItWas) {
  ProcessGroup alone;
  const at::Tensor rows = at::arange(6).view({3, 2});
  EXPECT_TRUE(at::equal(alone.gather_rows(rows), rows));
  alone.barrier();
}

TEST(ProcessGroupTest, ThreeRanksAddUpGatherAndShare) {
  const auto port = static_cast<uint16_t>(21000 + ::getpid() % 20000);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 3; ++rank) {
    threads.emplace_back([rank, port] {
      ProcessGroup group({.rank = rank, .world_size = 3, .master_port = port}, 60);
      std::vector<at::Tensor> tensors = {at::full({2}, rank + 1.0, at::kFloat),
                                         at::full({1, 1}, rank * 10.0, at::kFloat)};
      group.sum(tensors);
      EXPECT_THAT(tensors[0], AllClose(at::full({2}, 6.0), 0));
      EXPECT_THAT(tensors[1], AllClose(at::full({1, 1}, 30.0), 0));
      // Each has another number of rows; rank 0 has none.
      const at::Tensor all = group.gather_rows(at::full({rank, 2}, rank, at::kLong));
      EXPECT_TRUE(at::equal(all, at::tensor({1, 1, 2, 2, 2, 2}, at::kLong).view({3, 2})));
      std::vector<at::Tensor> shared = {at::full({2}, rank + 7.0, at::kFloat)};
      group.broadcast(shared);
      EXPECT_THAT(shared[0], AllClose(at::full({2}, 7.0), 0));
      group.barrier();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ProcessGroupTest, ARankThatNeverComesEndsTheWaitWithAClearMessage) {
  const auto port = static_cast<uint16_t>(41000 + ::getpid() % 20000);
  try {
    ProcessGroup({.rank = 0, .world_size = 2, .master_port = port}, 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("rank 0 of 2: meeting the other ranks failed"));
  }
}

}  // namespace
}  // namespace e5v::detail
