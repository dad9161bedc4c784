#include "e5v/server/batcher.h"

#include <algorithm>
#include <chrono>

namespace e5v::detail {
namespace {

/// How long a client that has gone may go unnoticed.
constexpr std::chrono::milliseconds kLookEvery{100};
/// How long the model may wait for a batch as large as the last one.
constexpr std::chrono::duration<double> kLongestWait{0.01};

/// The error of an item, named where there are several.
std::string named(size_t number, size_t num_items, const Error& error) {
  return num_items == 1 ? error.what() : fmt::format("item {}: {}", number, error.what());
}

}  // namespace

/// A place in the queue for each item of a request, while it lives; and its place among those that
/// are served.
class Batcher::Admission {
 public:
  Admission(Batcher& batcher, std::shared_ptr<Request> request, int64_t num_items)
      : batcher_(batcher), request_(std::move(request)), num_items_(num_items) {
    const int64_t limit = batcher.options_.max_queue;
    if (num_items > limit) {
      throw InputError(
          fmt::format("{} items in one request, at most {} are taken", num_items, limit));
    }
    const int64_t before = batcher.num_waiting_.fetch_add(num_items);
    if (before + num_items > limit) {
      batcher.num_waiting_ -= num_items;
      throw OverloadedError(fmt::format(
          "{} items are waiting, and {} more would be over the limit of {}; try again later",
          before, num_items, limit));
    }
    const std::lock_guard lock(batcher.mutex_);
    batcher.requests_.push_back(request_);
  }
  ~Admission() {
    {
      const std::lock_guard lock(batcher_.mutex_);
      batcher_.requests_.remove(request_);
      // What is left of a request that was given up.
      batcher_.num_prepared_ -= static_cast<int64_t>(request_->prepared.size());
      batcher_.prepared_tokens_ -= request_->prepared_tokens;
    }
    batcher_.num_waiting_ -= num_items_;
  }

 private:
  Batcher& batcher_;
  std::shared_ptr<Request> request_;  // a batch in progress may hold it longer
  int64_t num_items_;
};

Batcher::Batcher(const Embedder& embedder, BatcherOptions options,
                 std::function<void(int64_t, int64_t, double)> on_batch)
    : embedder_(embedder),
      options_(options),
      on_batch_(std::move(on_batch)),
      thread_([this] { run(); }) {}

Batcher::~Batcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    has_work_.notify_all();
  }
  thread_.join();
}

void Batcher::wait_for_room(Request& request, std::unique_lock<std::mutex>& lock,
                            const std::function<bool()>& is_cancelled) {
  while (!request.failure && request.prepared_tokens > options_.max_batch_tokens) {
    request.changed.wait_for(lock, kLookEvery);
    if (is_cancelled()) throw CancelledError("the client has gone");
  }
}

EmbeddedItems Batcher::embed(const std::vector<Item>& items, const PrepareOptions& options,
                             const std::function<bool()>& is_cancelled) {
  const auto shared = std::make_shared<Request>();
  Request& request = *shared;
  request.vectors.resize(items.size());
  const Admission admission(*this, shared, static_cast<int64_t>(items.size()));
  EmbeddedItems result;
  for (size_t i = 0; i < items.size(); ++i) {
    PreparedItem prepared;
    try {
      prepared = embedder_.preparer().prepare(items[i], options);
    } catch (const InputError& error) {
      throw InputError(named(i, items.size(), error));
    } catch (const FormatError& error) {  // of a picture's bytes, which are the caller's
      throw InputError(named(i, items.size(), error));
    }
    const int64_t tokens = prepared.num_tokens();
    result.num_tokens += tokens;
    std::unique_lock lock(mutex_);
    wait_for_room(request, lock, is_cancelled);
    if (request.failure) std::rethrow_exception(request.failure);
    request.prepared_tokens += tokens;
    request.prepared.emplace_back(i, std::move(prepared));
    prepared_tokens_ += tokens;
    ++num_prepared_;
    has_work_.notify_one();
  }
  std::unique_lock lock(mutex_);
  while (!request.failure && request.num_done < items.size()) {
    request.changed.wait_for(lock, kLookEvery);
    if (request.num_done < items.size() && is_cancelled()) {
      throw CancelledError("the client has gone");
    }
  }
  if (request.failure) std::rethrow_exception(request.failure);
  result.vectors = std::move(request.vectors);
  return result;
}

/// Takes one item of each request in turn until the batch is full.
std::vector<Batcher::Place> Batcher::take_batch(std::vector<PreparedItem>& items, int64_t& tokens) {
  std::vector<Place> places;
  size_t num_passed = 0;  // requests in a row that had nothing
  while (num_passed < requests_.size()) {
    const std::shared_ptr<Request> request = requests_.front();
    if (!request->prepared.empty()) {
      const int64_t item_tokens = request->prepared.front().second.num_tokens();
      if (!items.empty() && tokens + item_tokens > options_.max_batch_tokens) break;
      tokens += item_tokens;
      request->prepared_tokens -= item_tokens;
      prepared_tokens_ -= item_tokens;
      --num_prepared_;
      places.emplace_back(request, request->prepared.front().first);
      items.push_back(std::move(request->prepared.front().second));
      request->prepared.pop_front();
      num_passed = 0;
    } else {
      ++num_passed;
    }
    requests_.splice(requests_.end(), requests_, requests_.begin());
  }
  return places;
}

bool Batcher::wait_for_batch(std::unique_lock<std::mutex>& lock) {
  has_work_.wait(lock, [&] { return stopping_ || num_prepared_ > 0; });
  if (num_prepared_ == 0) return false;
  const auto is_full = [&] {
    return stopping_ || num_prepared_ >= last_items_ ||
           prepared_tokens_ >= options_.max_batch_tokens;
  };
  has_work_.wait_for(lock, std::min(last_seconds_ / 2, kLongestWait), is_full);
  return num_prepared_ > 0 || !stopping_;
}

void Batcher::run() {
  while (true) {
    std::vector<PreparedItem> items;
    int64_t tokens = 0;
    std::vector<Place> places;
    {
      std::unique_lock lock(mutex_);
      if (!wait_for_batch(lock)) return;
      places = take_batch(items, tokens);
    }
    if (items.empty()) continue;  // given up while they waited
    const auto started = std::chrono::steady_clock::now();
    std::vector<std::vector<float>> vectors;
    std::exception_ptr failure;
    try {
      vectors = embedder_.embed_prepared(items);
    } catch (...) {
      failure = std::current_exception();
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
    if (on_batch_) on_batch_(static_cast<int64_t>(items.size()), tokens, seconds.count());
    const std::lock_guard lock(mutex_);
    last_items_ = static_cast<int64_t>(items.size());
    last_seconds_ = seconds;
    for (size_t i = 0; i < places.size(); ++i) {
      auto& [request, number] = places[i];
      if (failure) {
        request->failure = failure;
      } else {
        request->vectors[number] = std::move(vectors[i]);
        ++request->num_done;
      }
      request->changed.notify_all();
    }
  }
}

}  // namespace e5v::detail
