#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace e5v::detail {

/// Cores that this process may keep busy: those of its affinity mask, fewer where a cgroup (v1 or
/// v2) gives it less processor time. At least 1.
int usable_cores();

/// What a program's --threads means: 0 = usable_cores().
int64_t threads_or_cores(int64_t threads);

/// A queue between threads that holds at most `capacity` values, so that a fast producer waits and
/// memory stays bounded. Every member is thread-safe.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  /// Waits for room. False, and `value` is dropped, if the queue is closed.
  bool push(T value) {
    std::unique_lock lock(mutex_);
    has_room_.wait(lock, [&] { return closed_ || values_.size() < capacity_; });
    if (closed_) return false;
    values_.push_back(std::move(value));
    has_value_.notify_one();
    return true;
  }

  /// Waits for a value, in the order of `push`. nullopt once the queue is closed and empty.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    has_value_.wait(lock, [&] { return closed_ || !values_.empty(); });
    if (values_.empty()) return std::nullopt;
    std::optional<T> value(std::move(values_.front()));
    values_.pop_front();
    has_room_.notify_one();
    return value;
  }

  /// No more values come; what is queued can still be popped. Wakes all who wait.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    has_room_.notify_all();
    has_value_.notify_all();
  }

 private:
  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable has_room_;
  std::condition_variable has_value_;
  std::deque<T> values_;
  bool closed_ = false;
};

}  // namespace e5v::detail
