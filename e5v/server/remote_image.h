#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace e5v::detail {

struct RemoteImageOptions {
  /// Hosts that pictures may be fetched from: a name, or "*.name" for all below it. Empty: none.
  std::vector<std::string> hosts;
  size_t max_bytes = 20 << 20;
  int timeout_s = 15;
  int max_redirects = 3;
  /// Also addresses of this machine and of private networks; for tests.
  bool allow_private_addresses = false;
};

/// The bytes behind an http(s) URL. The host, also of every redirect, must be an allowed one, and
/// the address that is connected to a public one: it is checked at the socket, so that no name can
/// resolve to one address for the check and to another for the connection. Proxies are not used.
/// Throws InputError.
std::vector<std::byte> fetch_image(const std::string& url, const RemoteImageOptions& options);

/// True if `host` is one of `hosts`.
bool is_allowed_host(const std::string& host, const std::vector<std::string>& hosts);

/// True unless the address, as inet_ntop writes it, belongs to this machine, a private network, a
/// link, or another range that is not routed (RFC 6890), also where it is mapped into IPv6.
bool is_public_address(const std::string& address);

}  // namespace e5v::detail
