#include "e5v/server/batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace e5v {
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

TEST_F(BatcherGoldenTest, ALargeRequestDoesNotKeepOthersWaiting) {
  std::atomic<int64_t> num_batches = 0;
  Batcher batcher(embedder(), {.max_batch_tokens = 64},
                  [&](int64_t, int64_t, double) { ++num_batches; });
  std::atomic<bool> large_done = false;
  std::thread large([&] {
    batcher.embed(std::vector<Item>(600, text_item("one of many items of a large request")), {},
                  kNever);
    large_done = true;
  });
  while (num_batches < 3) std::this_thread::yield();
  const int64_t before = num_batches;
  batcher.embed({text_item("a short one")}, {}, kNever);
  EXPECT_FALSE(large_done);
  // Of more than a hundred; on a busy machine a few pass before the short one is prepared.
  EXPECT_LE(num_batches - before, 12);
  large.join();
}

TEST_F(BatcherGoldenTest, AFullQueueIsRefusedAndEmptiesAgain) {
  Batcher batcher(embedder(), {.max_batch_tokens = 64, .max_queue = 200}, nullptr);
  EXPECT_THROW(batcher.embed(std::vector<Item>(201, text_item("a")), {}, kNever), InputError);
  std::thread large(
      [&] { batcher.embed(std::vector<Item>(200, text_item("a b c d")), {}, kNever); });
  while (batcher.num_waiting() == 0) std::this_thread::yield();
  EXPECT_THROW(batcher.embed({text_item("b")}, {}, kNever), OverloadedError);
  large.join();
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
}  // namespace e5v
