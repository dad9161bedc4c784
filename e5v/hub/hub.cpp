#include "e5v/hub/hub.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "e5v/base/url.h"
#include "e5v/hub/partial_file.h"

namespace e5v::detail {
namespace {

constexpr int kMaxRedirects = 10;
constexpr size_t kMaxListingBytes = size_t{64} << 20;
constexpr size_t kMaxPathBytes = 1000;
constexpr double kLongestPause_s = 60;
// The tries are counted anew after one that brought more than this: not after any byte, or a server
// that sends a few bytes and breaks off would be asked for ever.
constexpr uint64_t kProgressBytes = 64 << 10;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

bool is_hexadecimal(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Sets kind and digest of `file` from SHA-256 or git digits; anything else leaves it without.
void set_digest(HubFile& file, const std::string& digits) {
  if (!is_hexadecimal(digits) || (digits.size() != 64 && digits.size() != 40)) return;
  file.digest_kind = digits.size() == 64 ? DigestKind::kSha256 : DigestKind::kGitBlob;
  file.digest = digits;
}

/// The hub chooses the names under which we write: none may lead out of our folder.
void check_path(const std::string& path, const std::string& source) {
  bool bad = path.empty() || path.size() > kMaxPathBytes || path.find('\\') != std::string::npos ||
             std::any_of(path.begin(), path.end(), [](unsigned char c) { return c < 0x20; });
  for (size_t at = 0; at <= path.size() && !bad;) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = std::string_view(path).substr(at, end - at);
    bad = part.empty() || part == "." || part == "..";
    at = end + 1;
  }
  if (bad) {
    throw FormatError(source, fmt::format("the hub names a file '{}', which is no safe file name",
                                          printable(path)));
  }
}

std::string unquoted_etag(std::string etag) {
  if (etag.starts_with("W/")) etag.erase(0, 2);
  std::erase(etag, '"');
  return etag;
}

bool is_temporary(int status) {
  return status == 408 || status == 429 || (status >= 500 && status != 501);
}

/// Whether `response` continues at `first_byte`, i.e. "Content-Range: bytes <first_byte>-…".
bool continues_at(const HttpResponse& response, uint64_t first_byte) {
  const std::string range = response.header("content-range").value_or("");
  return response.status == 206 && range.starts_with(fmt::format("bytes {}-", first_byte));
}

}  // namespace

HubAccess HubAccess::from_environment() {
  HubAccess access;
  const std::string endpoint = environment("HF_ENDPOINT");
  if (!endpoint.empty()) access.endpoint = endpoint;
  std::filesystem::path home = environment("HF_HOME");
  if (home.empty()) home = std::filesystem::path(environment("HOME")) / ".cache/huggingface";
  access.cache = environment("HF_HUB_CACHE");
  if (access.cache.empty()) access.cache = home / "hub";
  access.token = trimmed(environment("HF_TOKEN"));
  if (access.token.empty()) {
    std::filesystem::path file = environment("HF_TOKEN_PATH");
    if (file.empty()) file = home / "token";
    constexpr uint64_t kMaxTokenBytes = 4096;
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored))
      access.token = trimmed(read_file(file, kMaxTokenBytes));
  }
  return access;
}

/// Counts the tries of one request or download.
class Hub::Retries {
 public:
  Retries(const HubAccess& access, Logger& logger) : access_(access), logger_(logger) {}

  /// Waits before the next try, or throws ConnectionError(`reason`) where none is left.
  void failed(const std::string& reason, const HttpResponse& response = {}) {
    if (num_failures_ == access_.num_retries) {
      throw ConnectionError(fmt::format("{}; gave up after {} tries", reason, num_failures_ + 1));
    }
    double pause_s = access_.retry_pause_s * (1 << num_failures_++);
    pause_s = std::max(pause_s, std::atof(response.header("retry-after").value_or("0").c_str()));
    pause_s = std::min(pause_s, kLongestPause_s);
    logger_.warn("{}; trying again in {:.0f} s", reason, pause_s);
    std::this_thread::sleep_for(std::chrono::duration<double>(pause_s));
  }
  void progressed() { num_failures_ = 0; }

 private:
  const HubAccess& access_;
  Logger& logger_;
  int num_failures_ = 0;
};

Hub::Hub(HubAccess access, Logger& logger)
    : access_(std::move(access)), logger_(logger), client_(access_.stall_s) {
  while (access_.endpoint.ends_with('/')) access_.endpoint.pop_back();
  try {
    origin_ = url_origin(access_.endpoint);
  } catch (const InputError& error) {
    throw ConfigError(fmt::format("the hub's endpoint: {}", error.what()));
  }
}

std::string Hub::file_url(const std::string& repository, const std::string& commit,
                          const std::string& path) const {
  return fmt::format("{}/{}/resolve/{}/{}", access_.endpoint, url_encode(repository, "/"),
                     url_encode(commit), url_encode(path, "/"));
}

HttpResponse Hub::send_along(HttpRequest request, const HttpClient::HeadCallback& on_head,
                             const HttpClient::BodyCallback& on_body) {
  for (int i = 0; i <= kMaxRedirects; ++i) {
    const std::string origin = url_origin(request.url);
    request.token = origin == origin_ ? access_.token : "";
    HttpResponse response = client_.send(
        request, [&](const HttpResponse& head) { return on_head(head); }, on_body);
    if (response.redirect_url.empty()) return response;
    if (origin.starts_with("https:") && !response.redirect_url.starts_with("https:")) {
      throw InputError(fmt::format("{}: redirects from https to '{}', which is not encrypted",
                                   printable(request.url), printable(response.redirect_url)));
    }
    request.url = response.redirect_url;
  }
  throw InputError(
      fmt::format("{}: more than {} redirects", printable(request.url), kMaxRedirects));
}

void Hub::refuse(const HttpResponse& response, const std::string& repository,
                 const std::string& what) const {
  const std::string code = response.header("x-error-code").value_or("");
  const bool denied = response.status == 401 || response.status == 403;
  const std::string named = fmt::format("{} at {}", repository, access_.endpoint);
  if (code == "RepoNotFound") {
    throw InputError(fmt::format("{}: no such repository{}", named,
                                 access_.token.empty()
                                     ? ", or a private one (then set HF_TOKEN)"
                                     : ", or one that HF_TOKEN's owner may not see"));
  }
  if (denied) {
    throw InputError(fmt::format(
        "{}: access denied (HTTP {}){}: accept its conditions on {}/{} and {}", named,
        response.status, code == "GatedRepo" ? ", it is gated" : "", access_.endpoint, repository,
        access_.token.empty() ? "set HF_TOKEN" : "check that HF_TOKEN is of the same account"));
  }
  if (response.status == 404) throw InputError(fmt::format("{}: no {}", named, what));
  throw InputError(fmt::format("{}: HTTP status {} for {}", named, response.status, what));
}

std::optional<HttpResponse> Hub::try_once(Retries& retries, const HttpRequest& request,
                                          const HttpClient::HeadCallback& on_head,
                                          const HttpClient::BodyCallback& on_body) {
  std::string reason;
  HttpResponse response;
  try {
    response = send_along(request, on_head, on_body);
    if (!is_temporary(response.status)) return response;
    reason = fmt::format("{}: HTTP status {}", request.url, response.status);
  } catch (const ConnectionError& error) {
    reason = error.what();
  }
  retries.failed(reason, response);
  return std::nullopt;
}

HubListing Hub::list(const std::string& repository, const std::string& revision) {
  // blobs=true brings sizes and digests along.
  const std::string url = fmt::format("{}/api/models/{}/revision/{}?blobs=true", access_.endpoint,
                                      url_encode(repository, "/"), url_encode(revision));
  std::string body;
  std::optional<HttpResponse> response;
  for (Retries retries(access_, logger_); !response;) {
    body.clear();
    response = try_once(
        retries, {.url = url}, [](const HttpResponse& head) { return head.status == 200; },
        [&](std::string_view bytes) {
          body += bytes;
          if (body.size() > kMaxListingBytes) throw FormatError(url, "more than 64 MiB of JSON");
        });
  }
  if (response->status != 200) {
    refuse(*response, repository, fmt::format("revision '{}'", printable(revision)));
  }
  HubListing listing;
  try {
    const Json answer = parse_json(body, url);
    listing.commit = require_field<std::string>(answer, "sha");
    for (const Json& sibling : require_field<std::vector<Json>>(answer, "siblings")) {
      HubFile file;
      file.path = require_field<std::string>(sibling, "rfilename");
      check_path(file.path, url);
      const std::optional<Json> lfs = find_field<Json>(sibling, "lfs");
      set_digest(file, lfs ? field_or<std::string>(*lfs, "sha256", "")
                           : field_or<std::string>(sibling, "blobId", ""));
      const std::optional<uint64_t> size = find_field<uint64_t>(lfs ? *lfs : sibling, "size");
      if (!size) file.digest.clear();
      file.size = size.value_or(0);
      listing.files.push_back(std::move(file));
    }
  } catch (const ConfigError& error) {
    throw FormatError(url, fmt::format("not a hub's answer: {}", error.what()));
  }
  if (listing.commit.empty() || listing.commit.size() > 64 || !is_hexadecimal(listing.commit)) {
    throw FormatError(url, fmt::format("'sha' is '{}', expected a commit's hexadecimal digits",
                                       printable(listing.commit)));
  }
  return listing;
}

HubFile Hub::describe(const std::string& repository, const std::string& commit, HubFile file) {
  if (!file.digest.empty()) return file;
  const std::string url = file_url(repository, commit, file.path);
  // A large file's redirect names its content (X-Linked-…); where it leads to need not.
  std::optional<std::string> linked_etag, linked_size;
  const auto on_head = [&](const HttpResponse& head) {
    if (!linked_etag) linked_etag = head.header("x-linked-etag");
    if (!linked_size) linked_size = head.header("x-linked-size");
    return false;
  };
  std::optional<HttpResponse> response;
  for (Retries retries(access_, logger_); !response;) {
    response = try_once(retries, {.url = url, .head_only = true}, on_head, [](std::string_view) {});
  }
  if (response->status != 200) refuse(*response, repository, fmt::format("file '{}'", file.path));
  if (!linked_etag) linked_etag = response->header("etag");
  if (!linked_size) linked_size = response->header("content-length");
  set_digest(file, unquoted_etag(linked_etag.value_or("")));
  const std::string size = linked_size.value_or("");
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), file.size);
  if (file.digest.empty() || error != std::errc() || end != size.data() + size.size()) {
    throw FormatError(url, "the hub gives no size and SHA-256 or git digest to check it with");
  }
  return file;
}

void Hub::download(const std::string& repository, const std::string& commit, const HubFile& file,
                   const std::filesystem::path& partial_path, const std::filesystem::path& target,
                   const std::function<void(uint64_t)>& on_bytes) {
  const std::string url = file_url(repository, commit, file.path);
  PartialFile partial(partial_path);
  std::optional<Digest> digest;
  const auto start_over = [&] {
    partial.clear();
    digest.emplace(file.digest_kind, file.size);
  };
  if (partial.size() > file.size) start_over();
  bool resumed = partial.size() > 0;
  digest.emplace(file.digest_kind, file.size);
  if (resumed) {
    const MappedFile before(partial_path);
    digest->update({reinterpret_cast<const char*>(before.bytes().data()), before.bytes().size()});
    on_bytes(partial.size());
  }
  Retries retries(access_, logger_);
  uint64_t retries_counted_from = partial.size();
  const auto on_head = [&](const HttpResponse& head) {
    if (head.status != 200 && head.status != 206) return false;
    if (head.status == 206 && !continues_at(head, partial.size())) {
      throw FormatError(
          url, fmt::format("bytes from {} were asked for, the answer has '{}'", partial.size(),
                           printable(head.header("content-range").value_or(""))));
    }
    if (head.status == 200 && partial.size() > 0) start_over();  // ranges are not served here
    return true;
  };
  const auto on_body = [&](std::string_view bytes) {
    if (bytes.size() > file.size - partial.size()) {
      throw FormatError(url, fmt::format("longer than the {} bytes announced", file.size));
    }
    partial.append(bytes);
    digest->update(bytes);
    on_bytes(partial.size());
    if (partial.size() > retries_counted_from + kProgressBytes) {
      retries.progressed();
      retries_counted_from = partial.size();
    }
  };
  for (;;) {
    while (partial.size() < file.size) {
      const auto response =
          try_once(retries, {.url = url, .first_byte = partial.size()}, on_head, on_body);
      if (!response || partial.size() == file.size) continue;
      if (response->status != 200 && response->status != 206) {
        refuse(*response, repository, fmt::format("file '{}'", file.path));
      }
      retries.failed(fmt::format("{}: ended after {} of {} bytes", url, partial.size(), file.size));
    }
    const std::string met = digest->finish();
    if (met == file.digest) break;
    if (!std::exchange(resumed, false)) {
      partial.remove();
      throw FormatError(
          url, fmt::format("the {} received is {}, expected {}; removed",
                           file.digest_kind == DigestKind::kSha256 ? "SHA-256" : "git digest", met,
                           file.digest));
    }
    logger_.warn("{}: what an earlier download left is damaged; downloading it all again",
                 partial_path.native());
    start_over();
    retries_counted_from = 0;
  }
  partial.move_to(target);
}

}  // namespace e5v::detail
