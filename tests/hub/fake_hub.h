#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace e5v::detail {

/// A hub on this machine's loopback that behaves as the real one does: the listing with sizes and
/// digests, small files from the hub itself, large ones by way of a redirect to storage on another
/// port, ranges, ETags, error codes. The fields, set before a request, make it misbehave.
class FakeHub {
 public:
  /// What it was asked: e.g. {"GET", "/o/n/resolve/<commit>/config.json", "bytes=5-", "Bearer t"}.
  struct Request {
    std::string method;
    std::string path;
    std::string range;
    std::string authorization;
    bool at_storage = false;
  };

  FakeHub();
  ~FakeHub();

  std::string endpoint() const;
  /// The requests since the last call.
  std::vector<Request> take_requests();

  static constexpr const char* kRepository = "tiny/llava";
  static constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

  /// Path -> content. What ends in .safetensors or .model lies in storage.
  std::map<std::string, std::string> files;
  /// Only this token may read; empty: everybody.
  std::string required_token;
  /// The listing has sizes and digests, as with blobs=true.
  bool lists_digests = true;
  /// Storage honours Range.
  bool serves_ranges = true;
  /// Storage sends only so many bytes of each answer, then breaks the connection; -1: all of them.
  int64_t breaks_after = -1;
  /// Storage does so only in so many of the first answers; -1: in all.
  int num_breaks = -1;
  /// So many answers of storage, or of the listing, are this status first.
  int num_storage_failures = 0;
  int num_listing_failures = 0;
  int failure_status = 503;
  /// Storage sends other bytes than the digests say.
  bool corrupts = false;
  /// Storage redirects to itself.
  bool redirects_in_circles = false;
  /// Replaces the listing's whole body where not empty.
  std::string listing;

 private:
  struct Servers;
  std::unique_ptr<Servers> servers_;
  std::mutex mutex_;
  std::vector<Request> requests_;
};

}  // namespace e5v::detail
