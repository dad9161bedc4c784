#include "e5v/base/threads.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <memory>
#include <thread>

namespace e5v::detail {
namespace {

TEST(UsableCoresTest, FollowsTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(before), &before), 0);
  EXPECT_GE(usable_cores(), 1);
  EXPECT_LE(usable_cores(), CPU_COUNT(&before));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &before)) {
      CPU_SET(cpu, &one);
      break;
    }
  }
  ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(usable_cores(), 1);
  EXPECT_EQ(threads_or_cores(0), 1);
  EXPECT_EQ(threads_or_cores(5), 5);
  ::sched_setaffinity(0, sizeof(before), &before);
}

TEST(BoundedQueueTest, KeepsOrderAndNeverHoldsMoreThanItsCapacity) {
  BoundedQueue<std::unique_ptr<int>> queue(2);  // values need only be movable
  std::atomic<int> pushed = 0;
  std::thread producer([&] {
    for (int i = 0; i < 1000; ++i) {
      queue.push(std::make_unique<int>(i));
      ++pushed;
    }
    queue.close();
  });
  for (int i = 0; i < 1000; ++i) {
    const auto value = queue.pop();
    ASSERT_TRUE(value.has_value());
    EXPECT_EQ(**value, i);
    EXPECT_LE(pushed, i + 3);  // this one, two in the queue
  }
  EXPECT_EQ(queue.pop(), std::nullopt);
  producer.join();
}

TEST(BoundedQueueTest, ClosingWakesAProducerThatWaitsForRoom) {
  BoundedQueue<int> queue(1);
  EXPECT_TRUE(queue.push(1));
  std::atomic<bool> accepted = true;
  std::thread producer([&] { accepted = queue.push(2); });
  queue.close();
  producer.join();
  EXPECT_FALSE(accepted);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

}  // namespace
}  // namespace e5v::detail
