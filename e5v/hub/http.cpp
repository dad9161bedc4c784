#include "e5v/hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <exception>
#include <utility>

namespace e5v::detail {
namespace {

constexpr long kConnectTimeout_s = 30;
constexpr size_t kMaxHeaders = 200;
constexpr size_t kMaxDiscardedBytes = 64 << 10;

/// One answer as it arrives.
struct Transfer {
  HttpResponse response;
  const HttpClient::HeadCallback& on_head;
  const HttpClient::BodyCallback& on_body;
  bool head_seen = false;
  bool body_wanted = false;
  size_t num_discarded = 0;
  std::exception_ptr failure;  // what a callback threw: curl's C frames cannot be unwound
};

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

size_t receive_header(char* data, size_t, size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line(data, size);
  if (line.starts_with("HTTP/")) {  // also after "100 Continue" or a proxy's answer
    transfer.response = {};
    const size_t space = line.find(' ');
    if (space != std::string_view::npos) transfer.response.status = std::atoi(data + space);
  }
  const size_t colon = line.find(':');
  if (colon != std::string_view::npos && transfer.response.headers.size() < kMaxHeaders) {
    transfer.response.headers[lower(line.substr(0, colon))] = trimmed(line.substr(colon + 1));
  }
  return size;
}

size_t receive_body(char* data, size_t, size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  try {
    if (!std::exchange(transfer.head_seen, true)) {
      transfer.body_wanted = transfer.on_head(transfer.response);
    }
    if (transfer.body_wanted) {
      transfer.on_body({data, size});
      return size;
    }
    // A redirect's or error's page: read if short, so that the connection can be used again.
    transfer.num_discarded += size;
    return transfer.num_discarded <= kMaxDiscardedBytes ? size : 0;  // 0 makes curl stop
  } catch (...) {
    transfer.failure = std::current_exception();
    return 0;
  }
}

/// Failures that another try cannot mend.
bool is_lasting(CURLcode code) {
  constexpr std::array kLasting = {CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT,
                                   CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE};
  return std::find(kLasting.begin(), kLasting.end(), code) != kLasting.end();
}

}  // namespace

std::optional<std::string> HttpResponse::header(const std::string& name) const {
  const auto found = headers.find(name);
  if (found == headers.end()) return std::nullopt;
  return found->second;
}

struct HttpClient::Handle {
  CURL* curl = curl_easy_init();
  ~Handle() { curl_easy_cleanup(curl); }
};

HttpClient::HttpClient(int stall_s) : stall_s_(stall_s) {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  handle_ = std::make_unique<Handle>();
  if (initialized != CURLE_OK || handle_->curl == nullptr) throw Error("libcurl cannot start");
}

HttpClient::~HttpClient() = default;

HttpResponse HttpClient::send(const HttpRequest& request, const HeadCallback& on_head,
                              const BodyCallback& on_body) {
  CURL* curl = handle_->curl;
  curl_easy_reset(curl);  // keeps the connections
  Transfer transfer{.response = {}, .on_head = on_head, .on_body = on_body, .failure = {}};
  std::array<char, CURL_ERROR_SIZE> reason{};
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "e5v");
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason.data());
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectTimeout_s);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(stall_s_));
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, receive_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  if (request.head_only) curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  if (request.first_byte > 0) {
    curl_easy_setopt(curl, CURLOPT_RANGE, fmt::format("{}-", request.first_byte).c_str());
  }
  if (!request.token.empty()) {
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, request.token.c_str());
  }
  const CURLcode code = curl_easy_perform(curl);
  const bool stopped_by_us = transfer.head_seen && !transfer.body_wanted && !transfer.failure;
  if (transfer.failure) std::rethrow_exception(transfer.failure);
  if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && stopped_by_us)) {
    const std::string message =
        // Without the query: there storage services carry signatures.
        fmt::format("{}: {}", printable(request.url.substr(0, request.url.find('?')), 400),
                    printable(reason[0] != '\0' ? reason.data() : curl_easy_strerror(code), 200));
    if (is_lasting(code)) throw InputError(message);
    throw ConnectionError(message);
  }
  const char* redirect_url = nullptr;
  curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &redirect_url);
  if (redirect_url != nullptr) transfer.response.redirect_url = redirect_url;
  if (!transfer.head_seen) on_head(transfer.response);
  return transfer.response;
}

std::string url_origin(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
  const auto part = [&](CURLUPart which, unsigned flags) {
    char* text = nullptr;
    if (curl_url_get(parsed.get(), which, &text, flags) != CURLUE_OK) return std::string();
    std::string copy = text;
    curl_free(text);
    return lower(copy);
  };
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    throw InputError(fmt::format("'{}' is not a URL", printable(url)));
  }
  const std::string scheme = part(CURLUPART_SCHEME, 0);
  if (scheme != "http" && scheme != "https") {
    throw InputError(fmt::format("'{}' is not an http or https URL", printable(url)));
  }
  return fmt::format("{}://{}:{}", scheme, part(CURLUPART_HOST, 0),
                     part(CURLUPART_PORT, CURLU_DEFAULT_PORT));
}

}  // namespace e5v::detail
