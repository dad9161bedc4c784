#include "e5v/server/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

namespace e5v::detail {
namespace {

TEST(HttpServerTest, ManyClientsMayComeAtOnce) {
  HttpServer server({.port = 0}, nullptr, nullptr, nullptr);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(server.bind()));
  // Nobody accepts yet: every connection has to find room to wait.
  int connected = 0;
  std::vector<int> descriptors;
  for (int i = 0; i < 100; ++i) {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    descriptors.push_back(descriptor);
    ::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address);
    pollfd waiting{.fd = descriptor, .events = POLLOUT, .revents = 0};
    if (::poll(&waiting, 1, 100) == 1 && (waiting.revents & (POLLERR | POLLHUP)) == 0) ++connected;
  }
  EXPECT_EQ(connected, 100);
  for (const int descriptor : descriptors) ::close(descriptor);
}

}  // namespace
}  // namespace e5v::detail
