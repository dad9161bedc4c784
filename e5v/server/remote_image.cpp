#include "e5v/server/remote_image.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <memory>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

struct Range4 {
  uint32_t first;
  int bits;
};

/// IANA's special-purpose addresses.
constexpr std::array<Range4, 15> kSpecial4 = {{
    {0x00000000, 8},
    {0x0a000000, 8},
    {0x64400000, 10},
    {0x7f000000, 8},
    {0xa9fe0000, 16},
    {0xac100000, 12},
    {0xc0000000, 24},
    {0xc0000200, 24},
    {0xc0586300, 24},
    {0xc0a80000, 16},
    {0xc6120000, 15},
    {0xc6336400, 24},
    {0xcb007100, 24},
    {0xe0000000, 4},
    {0xf0000000, 4},
}};

bool is_public4(uint32_t address) {
  return std::none_of(kSpecial4.begin(), kSpecial4.end(), [&](const Range4& range) {
    return (address ^ range.first) >> (32 - range.bits) == 0;
  });
}

uint32_t big_endian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

bool is_public6(const std::array<uint8_t, 16>& a) {
  const bool mapped = std::all_of(a.begin(), a.begin() + 10, [](uint8_t b) { return b == 0; }) &&
                      a[10] == 0xff && a[11] == 0xff;
  if (mapped) return is_public4(big_endian(a.data() + 12));
  // 64:ff9b::/96 reaches IPv4 addresses through a gateway, 2002::/16 by 6to4.
  if (big_endian(a.data()) == 0x0064ff9b) return false;
  if (a[0] == 0x20 && a[1] == 0x02) return false;
  // Only 2000::/3 is routed; of it not 2001::/23 (Teredo and others) and 2001:db8::/32.
  if ((a[0] & 0xe0) != 0x20) return false;
  if (a[0] == 0x20 && a[1] == 0x01 && (a[2] & 0xfe) == 0) return false;
  return !(a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0d && a[3] == 0xb8);
}

struct Transfer {
  const RemoteImageOptions& options;
  std::vector<std::byte> body;
  bool too_long = false;
  bool private_address = false;
};

size_t receive(char* data, size_t, size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.body.size() + size > transfer.options.max_bytes) {
    transfer.too_long = true;
    return 0;
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  transfer.body.insert(transfer.body.end(), bytes, bytes + size);
  return size;
}

curl_socket_t open_socket(void* user, curlsocktype, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(user);
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* raw = nullptr;
  if (address->family == AF_INET) {
    raw = &reinterpret_cast<const sockaddr_in*>(&address->addr)->sin_addr;
  } else if (address->family == AF_INET6) {
    raw = &reinterpret_cast<const sockaddr_in6*>(&address->addr)->sin6_addr;
  }
  const bool known =
      raw != nullptr && ::inet_ntop(address->family, raw, text.data(), text.size()) != nullptr;
  if (!transfer.options.allow_private_addresses && (!known || !is_public_address(text.data()))) {
    transfer.private_address = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

std::string host_of(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
  char* text = nullptr;
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), CURLU_DISALLOW_USER) != CURLUE_OK ||
      curl_url_get(parsed.get(), CURLUPART_HOST, &text, 0) != CURLUE_OK) {
    throw InputError(fmt::format("'{}' is not a URL", printable(url)));
  }
  std::string host = text;
  curl_free(text);
  for (char& c : host) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (host.ends_with('.')) host.pop_back();
  return host;
}

}  // namespace

bool is_allowed_host(const std::string& host, const std::vector<std::string>& hosts) {
  return std::any_of(hosts.begin(), hosts.end(), [&](const std::string& allowed) {
    if (allowed.starts_with("*.")) {
      return host.size() >= allowed.size() && host.ends_with(std::string_view(allowed).substr(1));
    }
    return host == allowed;
  });
}

bool is_public_address(const std::string& address) {
  std::array<uint8_t, 16> bytes{};
  if (::inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) {
    return is_public4(big_endian(bytes.data()));
  }
  return ::inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1 && is_public6(bytes);
}

std::vector<std::byte> fetch_image(const std::string& url, const RemoteImageOptions& options) {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  std::string next = url;
  for (int hop = 0; hop <= options.max_redirects; ++hop) {
    const std::string host = host_of(next);
    if (!is_allowed_host(host, options.hosts)) {
      throw InputError(fmt::format(
          "pictures are not fetched from '{}'{}", printable(host),
          options.hosts.empty() ? "; send a data URL, or allow hosts with --allow-remote-images"
                                : ""));
    }
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                   curl_easy_cleanup);
    if (initialized != CURLE_OK || !curl) throw Error("libcurl cannot start");
    Transfer transfer{.options = options, .body = {}};
    curl_easy_setopt(curl.get(), CURLOPT_URL, next.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl.get(), CURLOPT_PROXY, "");
    curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "e5v");
    curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, static_cast<long>(options.timeout_s));
    curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(curl.get(), CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(curl.get(), CURLOPT_OPENSOCKETDATA, &transfer);
    const CURLcode code = curl_easy_perform(curl.get());
    // One line for every failure of a connection: which ports are open is nobody's business.
    if (transfer.private_address) {
      throw InputError(fmt::format("'{}' does not have a public address", printable(host)));
    }
    if (transfer.too_long) {
      throw InputError(fmt::format("the picture at '{}' has more than {} bytes", printable(host),
                                   options.max_bytes));
    }
    if (code != CURLE_OK) {
      throw InputError(fmt::format("the picture at '{}' could not be fetched: {}", printable(host),
                                   curl_easy_strerror(code)));
    }
    long status = 0;
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status == 200) return std::move(transfer.body);
    const char* redirect = nullptr;
    curl_easy_getinfo(curl.get(), CURLINFO_REDIRECT_URL, &redirect);
    if (redirect == nullptr) {
      throw InputError(fmt::format("the picture at '{}' could not be fetched: status {}",
                                   printable(host), status));
    }
    next = redirect;
  }
  throw InputError(fmt::format("'{}' redirects more than {} times", printable(host_of(url)),
                               options.max_redirects));
}

}  // namespace e5v::detail
