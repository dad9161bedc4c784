#include "tests/hub/fake_hub.h"

#include <httplib.h>

#include <thread>

#include "e5v/base/digest.h"
#include "e5v/base/json.h"

namespace e5v::detail {
namespace {

bool is_large(const std::string& path) {
  return path.ends_with(".safetensors") || path.ends_with(".model");
}

std::string digest_of(const std::string& content, DigestKind kind) {
  Digest digest(kind, content.size());
  digest.update(content);
  return digest.finish();
}

Json listing_of(const std::map<std::string, std::string>& files, bool with_digests) {
  Json siblings = Json::array();
  for (const auto& [path, content] : files) {
    Json sibling = {{"rfilename", path}};
    if (with_digests) {
      sibling["size"] = content.size();
      // A large file's blobId is that of its LFS pointer: not a digest of the content.
      sibling["blobId"] = digest_of(is_large(path) ? "pointer" : content, DigestKind::kGitBlob);
      if (is_large(path)) {
        sibling["lfs"] = {{"sha256", digest_of(content, DigestKind::kSha256)},
                          {"size", content.size()},
                          {"pointerSize", 134}};
      }
    }
    siblings.push_back(sibling);
  }
  return {{"id", FakeHub::kRepository}, {"sha", FakeHub::kCommit}, {"siblings", siblings}};
}

}  // namespace

struct FakeHub::Servers {
  httplib::Server hub;
  httplib::Server storage;
  int hub_port = 0;
  int storage_port = 0;
  std::thread hub_thread;
  std::thread storage_thread;
};

FakeHub::FakeHub() : servers_(std::make_unique<Servers>()) {
  const auto note = [this](const httplib::Request& request, bool at_storage) {
    const std::lock_guard lock(mutex_);
    requests_.push_back({request.method, request.path, request.get_header_value("Range"),
                         request.get_header_value("Authorization"), at_storage});
  };
  const auto refuse = [](httplib::Response& response, int status, const char* code) {
    response.status = status;
    response.set_header("X-Error-Code", code);
    response.set_content("<html>" + std::string(2000, 'x'), "text/html");
  };
  const auto permits = [this](const httplib::Request& request) {
    return required_token.empty() ||
           request.get_header_value("Authorization") == "Bearer " + required_token;
  };

  servers_->hub.Get(R"(/api/models/([^/]+/[^/]+)/revision/(.+))",
                    [=, this](const httplib::Request& request, httplib::Response& response) {
                      note(request, false);
                      if (num_listing_failures > 0) {
                        --num_listing_failures;
                        return refuse(response, failure_status, "");
                      }
                      if (request.matches[1] != kRepository) {
                        // As the real one: strangers do not learn whether a private repository is
                        // there.
                        return refuse(response, required_token.empty() ? 404 : 401, "RepoNotFound");
                      }
                      if (request.matches[2] != "main" && request.matches[2] != kCommit) {
                        return refuse(response, 404, "RevisionNotFound");
                      }
                      if (!listing.empty())
                        return response.set_content(listing, "application/json");
                      const bool with_digests = lists_digests && request.has_param("blobs");
                      response.set_content(listing_of(files, with_digests).dump(),
                                           "application/json");
                    });

  servers_->hub.Get(
      R"(/tiny/llava/resolve/([0-9a-f]+)/(.+))",
      [=, this](const httplib::Request& request, httplib::Response& response) {
        note(request, false);
        const std::string path = request.matches[2];
        if (!permits(request)) return refuse(response, 403, "GatedRepo");
        const auto found = files.find(path);
        if (found == files.end()) return refuse(response, 404, "EntryNotFound");
        response.set_header("X-Repo-Commit", kCommit);
        if (!is_large(path)) {
          response.set_header("ETag", "\"" + digest_of(found->second, DigestKind::kGitBlob) + "\"");
          return response.set_content(found->second, "text/plain");
        }
        response.set_header("X-Linked-Size", std::to_string(found->second.size()));
        response.set_header("X-Linked-Etag",
                            "\"" + digest_of(found->second, DigestKind::kSha256) + "\"");
        response.set_redirect(fmt::format("http://127.0.0.1:{}/blob/{}?Signature=s3cret",
                                          servers_->storage_port, path));
      });

  servers_->storage.Get(R"(/blob/(.+))",
                        [=, this](const httplib::Request& request, httplib::Response& response) {
                          note(request, true);
                          if (redirects_in_circles) return response.set_redirect(request.path);
                          if (num_storage_failures > 0) {
                            --num_storage_failures;
                            return refuse(response, failure_status, "");
                          }
                          std::string content = files.at(request.matches[1]);
                          if (corrupts) content[content.size() / 2] ^= 1;
                          if (!serves_ranges) const_cast<httplib::Request&>(request).ranges.clear();
                          response.set_header("ETag", "\"storage-has-its-own\"");
                          int64_t limit = breaks_after;
                          if (num_breaks == 0) limit = -1;
                          if (num_breaks > 0) --num_breaks;
                          response.set_content_provider(
                              content.size(), "application/octet-stream",
                              [content, limit, sent = int64_t{0}](size_t offset, size_t length,
                                                                  httplib::DataSink& sink) mutable {
                                if (limit >= 0)
                                  length = std::min(length, static_cast<size_t>(limit - sent));
                                if (length == 0) return false;
                                sent += static_cast<int64_t>(length);
                                return sink.write(content.data() + offset, length);
                              });
                        });

  servers_->hub_port = servers_->hub.bind_to_any_port("127.0.0.1");
  servers_->storage_port = servers_->storage.bind_to_any_port("127.0.0.1");
  servers_->hub_thread = std::thread([this] { servers_->hub.listen_after_bind(); });
  servers_->storage_thread = std::thread([this] { servers_->storage.listen_after_bind(); });
  while (!servers_->hub.is_running() || !servers_->storage.is_running()) std::this_thread::yield();
}

FakeHub::~FakeHub() {
  servers_->hub.stop();
  servers_->storage.stop();
  servers_->hub_thread.join();
  servers_->storage_thread.join();
}

std::string FakeHub::endpoint() const {
  return fmt::format("http://127.0.0.1:{}", servers_->hub_port);
}

std::vector<FakeHub::Request> FakeHub::take_requests() {
  const std::lock_guard lock(mutex_);
  return std::exchange(requests_, {});
}

}  // namespace e5v::detail
