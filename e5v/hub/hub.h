#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "e5v/base/digest.h"
#include "e5v/base/log.h"
#include "e5v/hub/http.h"

namespace e5v::detail {

/// Where a hub is and how it is spoken to.
struct HubAccess {
  /// Address before "/api/models/…", without a "/" at the end.
  std::string endpoint = "https://huggingface.co";
  /// Sent to the endpoint's origin only, never to where it redirects. Empty: none.
  std::string token;
  /// The cache folder that transformers uses too: models--OWNER--NAME/… lie in it.
  std::filesystem::path cache;
  /// How often a broken or refused request is tried again without progress in between.
  int num_retries = 4;
  /// Pause before the first of these tries; each further one is twice as long.
  double retry_pause_s = 1;
  /// Seconds without a byte after which a connection counts as broken.
  int stall_s = 60;

  /// From HF_ENDPOINT, HF_TOKEN (else the file that logging in leaves: HF_TOKEN_PATH, or `token` in
  /// HF_HOME), HF_HUB_CACHE (else `hub` in HF_HOME); HF_HOME is ~/.cache/huggingface by default.
  static HubAccess from_environment();
};

/// A file of a repository, named by its content.
struct HubFile {
  std::string path;  ///< relative, with "/"; cannot lead out of a folder
  uint64_t size = 0;
  DigestKind digest_kind = DigestKind::kSha256;
  std::string digest;  ///< hexadecimal; empty where the hub has not said it yet
};

/// A repository at one revision.
struct HubListing {
  std::string commit;  ///< hexadecimal
  std::vector<HubFile> files;
};

/// Asks a Hugging Face-style hub. Follows redirects; tries again after broken connections, "too
/// many requests" and the server's own failures. Every member throws InputError for a repository,
/// revision or file that is not there or not open to this user, ConnectionError, and FormatError
/// for an answer that is not a hub's.
class Hub {
 public:
  Hub(HubAccess access, Logger& logger);

  /// The commit that `revision` (branch, tag, commit) is at, and its files.
  HubListing list(const std::string& repository, const std::string& revision);

  /// `file` with size and digest, asked for where `list` did not bring them.
  HubFile describe(const std::string& repository, const std::string& commit, HubFile file);

  /// Downloads to `partial` and moves that to `target`. Bytes that `partial` has already are taken
  /// for the file's first ones. Calls `on_bytes` with the size so far. `target` appears only with
  /// the right size and digest; with a wrong digest `partial` is removed, after other failures it
  /// is kept for the next try. Throws FileError too, e.g. while another process downloads the same
  /// file.
  void download(const std::string& repository, const std::string& commit, const HubFile& file,
                const std::filesystem::path& partial, const std::filesystem::path& target,
                const std::function<void(uint64_t)>& on_bytes);

 private:
  class Retries;

  std::string file_url(const std::string& repository, const std::string& commit,
                       const std::string& path) const;
  /// Sends `request` to where the redirects lead, the token only within the endpoint's origin.
  HttpResponse send_along(HttpRequest request, const HttpClient::HeadCallback& on_head,
                          const HttpClient::BodyCallback& on_body);
  /// As send_along, but where a failure may be temporary: waits for the next try and returns
  /// nullopt, or throws if there have been num_retries.
  std::optional<HttpResponse> try_once(Retries& retries, const HttpRequest& request,
                                       const HttpClient::HeadCallback& on_head,
                                       const HttpClient::BodyCallback& on_body);
  [[noreturn]] void refuse(const HttpResponse& response, const std::string& repository,
                           const std::string& what) const;

  HubAccess access_;
  Logger& logger_;
  HttpClient client_;
  std::string origin_;
};

}  // namespace e5v::detail
