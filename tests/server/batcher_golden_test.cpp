#include "e5v/server/batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>
#include <thread>

namespace e5v::detail {
namespace {

using testing::HasSubstr;

Item text_item(const std::string& text) {
  Item item;
  item.text = text;
  return item;
}

/// The golden model folder.
class BatcherGoldenTest : public testing::Test {
 protected:
  static const Embedder& embedder() {
    static const Embedder embedder(
        {.model = std::filesystem::path(E5V_SOURCE_DIR) / "tests/goldens/end_to_end_tiny",
         .device = "cpu",
         .threads = 1});
    return embedder;
  }
  static constexpr auto kNever = [] { return false; };
};

TEST_F(BatcherGoldenTest, GivesEachRequestItsOwnVectors) {
  Batcher batcher(embedder(), {.max_batch_tokens = 64}, nullptr);
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 10; ++i) {
        std::vector<Item> items;
        for (int k = 0; k <= i % 4; ++k) {
          items.push_back(
              text_item("client " + std::to_string(c) + " item " + std::to_string(i + k)));
        }
        const EmbeddedItems got = batcher.embed(items, {}, kNever);
        const auto expected = embedder().embed(items);
        ASSERT_EQ(got.vectors.size(), expected.size());
        for (size_t k = 0; k < expected.size(); ++k) {
          for (size_t d = 0; d < expected[k].size(); ++d) {
            ASSERT_NEAR(got.vectors[k][d], expected[k][d], 1e-5);
          }
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(batcher.num_waiting(), 0);
}

/// Holds the batcher behind each batch until the test lets it go on, so that who waits when is the
/// test's choice.
class Turnstile {
 public:
  ~Turnstile() { open(); }
  /// What the batcher calls behind a batch.
  void pass(int64_t items) {
    std::unique_lock lock(mutex_);
    batch_items_.push_back(items);
    changed_.notify_all();
    changed_.wait(lock, [&] { return batch_items_.size() <= num_let_through_; });
  }
  void await_batch(size_t number) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return batch_items_.size() >= number; });
  }
  void let_through(size_t number) {
    const std::lock_guard lock(mutex_);
    num_let_through_ = number;
    changed_.notify_all();
  }
  void open() { let_through(SIZE_MAX); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int64_t> batch_items_;
  size_t num_let_through_ = 0;
};

/// A request on a thread of its own.
class Client {
 public:
  Client(Batcher& batcher, std::vector<Item> items)
      : num_vectors_(std::async(std::launch::async, [this, &batcher, items = std::move(items)] {
          const auto is_gone = [this] {  // asked once it can only wait
            waiting_ = true;
            waiting_.notify_all();
            return false;
          };
          return batcher.embed(items, {}, is_gone).vectors.size();
        })) {}
  void await_waiting() const { waiting_.wait(false); }
  bool is_answered_within(std::chrono::seconds time) const {
    return num_vectors_.wait_for(time) == std::future_status::ready;
  }
  size_t num_vectors() { return num_vectors_.get(); }

 private:
  std::atomic<bool> waiting_ = false;
  std::future<size_t> num_vectors_;  // last: its thread uses the other
};

TEST_F(BatcherGoldenTest, ALargeRequestDoesNotKeepOthersWaiting) {
  Turnstile turnstile;
  Batcher batcher(embedder(), {.max_batch_tokens = 256},
                  [&](int64_t items, int64_t, double) { turnstile.pass(items); });
  Client large(batcher, std::vector<Item>(60, text_item("one of many items of a large request")));
  turnstile.await_batch(1);
  large.await_waiting();
  Client small(batcher, {text_item("a short one")});
  small.await_waiting();
  // The first batch is over, the second has an item of each in turn, and the third does not end.
  turnstile.let_through(2);
  EXPECT_TRUE(small.is_answered_within(std::chrono::seconds(60)));
  EXPECT_FALSE(large.is_answered_within(std::chrono::seconds(0)));
  turnstile.open();
  EXPECT_EQ(small.num_vectors(), 1u);
  EXPECT_EQ(large.num_vectors(), 60u);
}

TEST_F(BatcherGoldenTest, AFullQueueIsRefusedAndEmptiesAgain) {
  Turnstile turnstile;
  Batcher batcher(embedder(), {.max_batch_tokens = 64, .max_queue = 20},
                  [&](int64_t items, int64_t, double) { turnstile.pass(items); });
  EXPECT_THROW(batcher.embed(std::vector<Item>(21, text_item("a")), {}, kNever), InputError);
  Client large(batcher, std::vector<Item>(20, text_item("a b c d")));
  turnstile.await_batch(1);
  EXPECT_THROW(batcher.embed({text_item("b")}, {}, kNever), OverloadedError);
  turnstile.open();
  EXPECT_EQ(large.num_vectors(), 20u);
  EXPECT_EQ(batcher.embed({text_item("b")}, {}, kNever).vectors.size(), 1u);
}

TEST_F(BatcherGoldenTest, WhoGoesAwayFreesThePlaces) {
  Batcher batcher(embedder(), {.max_batch_tokens = 64, .max_queue = 5000}, nullptr);
  int asked = 0;
  EXPECT_THROW(
      batcher.embed(std::vector<Item>(5000, text_item("a b c d")), {}, [&] { return ++asked > 2; }),
      CancelledError);
  EXPECT_EQ(batcher.num_waiting(), 0);
  EXPECT_EQ(batcher.embed({text_item("b")}, {}, kNever).vectors.size(), 1u);
}

TEST_F(BatcherGoldenTest, ABadItemIsNamedByItsNumber) {
  Batcher batcher(embedder(), {}, nullptr);
  try {
    batcher.embed({text_item("a"), text_item("")}, {}, kNever);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("item 1: the text is empty"));
  }
}

}  // namespace
}  // namespace e5v::detail
