#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "e5v/embed/embedder.h"

namespace e5v::detail {

/// The queue is full: the same request may succeed a little later.
class OverloadedError : public Error {
 public:
  using Error::Error;
};

/// Nobody waits for the answer any more.
class CancelledError : public Error {
 public:
  using Error::Error;
};

struct BatcherOptions {
  /// Tokens of one batch at the most, pictures' included; a longer item has a batch of its own.
  int64_t max_batch_tokens = 2048;
  /// Items of all requests that may wait; more are refused. A single request may have as many.
  int64_t max_queue = 4096;
};

struct EmbeddedItems {
  std::vector<std::vector<float>> vectors;
  int64_t num_tokens = 0;
};

/// Embeds the items of many requests together: whenever the model is free, it takes the next batch
/// of what waits then, one item of each request in turn, so that a large request delays the others
/// by no more than one batch. Items are prepared on the requests' own threads, a batch's worth
/// ahead. Clients that were just answered mostly ask again: where fewer items wait than the last
/// batch had, it waits for more, up to half the time that batch took and 10 ms.
class Batcher {
 public:
  /// `on_batch` is told each batch's items and tokens. `embedder` must outlive the batcher.
  Batcher(const Embedder& embedder, BatcherOptions options,
          std::function<void(int64_t items, int64_t tokens, double seconds)> on_batch);
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;
  /// Waits for what was accepted.
  ~Batcher();

  /// Waits for the items' vectors. `is_cancelled` is asked now and then.
  /// Pictures are bytes or pixels. Throws OverloadedError; CancelledError; InputError that names
  /// the item by its number, also for bytes that are no picture; what else goes wrong, as it is.
  EmbeddedItems embed(const std::vector<Item>& items, const PrepareOptions& options,
                      const std::function<bool()>& is_cancelled);

  int64_t num_waiting() const { return num_waiting_; }

 private:
  struct Request {
    std::deque<std::pair<size_t, PreparedItem>> prepared;  // with the item's number
    int64_t prepared_tokens = 0;
    std::vector<std::vector<float>> vectors;
    size_t num_done = 0;
    std::exception_ptr failure;
    std::condition_variable changed;
  };

  class Admission;
  void run();
  /// With `lock` held; until there is a batch worth its time. False: stopping, nothing is left.
  bool wait_for_batch(std::unique_lock<std::mutex>& lock);
  using Place = std::pair<std::shared_ptr<Request>, size_t>;  // and the item's number
  std::vector<Place> take_batch(std::vector<PreparedItem>& items, int64_t& tokens);
  void wait_for_room(Request& request, std::unique_lock<std::mutex>& lock,
                     const std::function<bool()>& is_cancelled);

  const Embedder& embedder_;
  const BatcherOptions options_;
  const std::function<void(int64_t, int64_t, double)> on_batch_;
  std::atomic<int64_t> num_waiting_ = 0;
  std::mutex mutex_;
  std::condition_variable has_work_;
  std::list<std::shared_ptr<Request>> requests_;  // in the order in which they are served
  int64_t num_prepared_ = 0;                      // items, and their tokens, of all requests
  int64_t prepared_tokens_ = 0;
  int64_t last_items_ = 0;  // of the last batch, and how long it took
  std::chrono::duration<double> last_seconds_{0};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace e5v::detail
