#include "e5v/server/remote_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <thread>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;

TEST(PublicAddressTest, IsNoneOfThisMachineOrAPrivateNetwork) {
  for (const char* address : {"127.0.0.1",
                              "127.9.9.9",
                              "0.0.0.0",
                              "10.0.0.1",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.168.1.1",
                              "169.254.169.254",
                              "100.64.0.1",
                              "198.18.0.1",
                              "224.0.0.1",
                              "255.255.255.255",
                              "::1",
                              "::",
                              "fe80::1",
                              "fc00::1",
                              "fd12::1",
                              "ff02::1",
                              "::ffff:127.0.0.1",
                              "::ffff:10.0.0.1",
                              "64:ff9b::a00:1",
                              "2002:7f00:1::",
                              "2001:db8::1",
                              "2001::1",
                              "nonsense",
                              ""}) {
    EXPECT_FALSE(is_public_address(address)) << address;
  }
  for (const char* address :
       {"8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"}) {
    EXPECT_TRUE(is_public_address(address)) << address;
  }
}

TEST(AllowedHostTest, IsANameOrAllBelowIt) {
  EXPECT_TRUE(is_allowed_host("a.org", {"b.org", "a.org"}));
  EXPECT_FALSE(is_allowed_host("x.a.org", {"a.org"}));
  EXPECT_TRUE(is_allowed_host("x.a.org", {"*.a.org"}));
  EXPECT_FALSE(is_allowed_host("a.org", {"*.a.org"}));
  EXPECT_FALSE(is_allowed_host("xa.org", {"*.a.org"}));
  EXPECT_FALSE(is_allowed_host("a.org", {}));
}

/// A server on this machine that redirects, sends too much, and sends a few bytes.
class FetchImageTest : public testing::Test {
 protected:
  FetchImageTest() {
    server_.Get("/image", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("bytes", "image/png");
    });
    server_.Get("/long", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(std::string(100'000, 'x'), "image/png");
    });
    server_.Get("/redirect", [](const httplib::Request&, httplib::Response& response) {
      response.set_redirect("/image");
    });
    server_.Get("/loop", [](const httplib::Request&, httplib::Response& response) {
      response.set_redirect("/loop");
    });
    server_.Get("/elsewhere", [](const httplib::Request&, httplib::Response& response) {
      response.set_redirect("http://localhost:1/image");
    });
    server_.Get("/file", [](const httplib::Request&, httplib::Response& response) {
      response.set_redirect("file:///etc/passwd");
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~FetchImageTest() override {
    server_.stop();
    thread_.join();
  }

  RemoteImageOptions here() const {
    return {
        .hosts = {"127.0.0.1"}, .max_bytes = 1000, .timeout_s = 5, .allow_private_addresses = true};
  }
  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }
  std::string error_of(const std::string& url, const RemoteImageOptions& options) const {
    try {
      fetch_image(url, options);
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  }

  httplib::Server server_;
  std::thread thread_;
  int port_ = 0;
};

TEST_F(FetchImageTest, FetchesFromAllowedHostsAlsoBehindRedirects) {
  EXPECT_EQ(fetch_image(url("/image"), here()).size(), 5u);
  EXPECT_EQ(fetch_image(url("/redirect"), here()).size(), 5u);
}

TEST_F(FetchImageTest, NoHostIsAllowedUnlessItIsNamed) {
  EXPECT_THAT(error_of(url("/image"), {}), HasSubstr("not fetched from '127.0.0.1'"));
  EXPECT_THAT(error_of(url("/elsewhere"), here()), HasSubstr("not fetched from 'localhost'"));
  EXPECT_THAT(error_of("http://127.0.0.1@evil.org/", here()), HasSubstr("not a URL"));
  EXPECT_THAT(error_of(url("/file"), here()), testing::Ne("no error"));
}

TEST_F(FetchImageTest, AnAllowedNameOfAPrivateAddressIsRefused) {
  RemoteImageOptions options = here();
  options.hosts = {"127.0.0.1", "localhost", "2130706433", "[::1]"};
  options.allow_private_addresses = false;
  EXPECT_THAT(error_of(url("/image"), options), HasSubstr("public address"));
  const std::string port = std::to_string(port_);
  EXPECT_THAT(error_of("http://localhost:" + port + "/image", options),
              HasSubstr("public address"));
  EXPECT_THAT(error_of("http://2130706433:" + port + "/image", options),
              HasSubstr("public address"));
}

TEST_F(FetchImageTest, SizeRedirectsAndStatusAreBounded) {
  EXPECT_THAT(error_of(url("/long"), here()), HasSubstr("more than 1000 bytes"));
  EXPECT_THAT(error_of(url("/loop"), here()), HasSubstr("more than 3 times"));
  EXPECT_THAT(error_of(url("/none"), here()), HasSubstr("status 404"));
}

}  // namespace
}  // namespace e5v::detail
