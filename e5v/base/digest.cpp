#include "e5v/base/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "e5v/base/error.h"
#include "e5v/base/file.h"

namespace e5v::detail {

struct Digest::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Digest::Digest(DigestKind kind, uint64_t content_bytes) : context_(std::make_unique<Context>()) {
  const EVP_MD* algorithm = kind == DigestKind::kSha256 ? EVP_sha256() : EVP_sha1();
  // Fails where a security policy of the machine forbids SHA-1.
  if (EVP_DigestInit_ex(context_->evp, algorithm, nullptr) != 1) {
    throw Error(fmt::format("this machine's OpenSSL refuses {}", EVP_MD_get0_name(algorithm)));
  }
  if (kind == DigestKind::kGitBlob) {
    update(fmt::format("blob {}", content_bytes));
    update(std::string_view("\0", 1));
  }
}

Digest::~Digest() = default;

void Digest::update(std::string_view bytes) {
  E5V_ASSERT(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) == 1);
}

std::string Digest::finish_bytes() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> raw;
  unsigned int size = 0;
  E5V_ASSERT(EVP_DigestFinal_ex(context_->evp, raw.data(), &size) == 1);
  return {reinterpret_cast<const char*>(raw.data()), size};
}

std::string Digest::finish() {
  std::string digits;
  for (const char byte : finish_bytes()) {
    digits += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  return digits;
}

std::string file_digest(const std::filesystem::path& path, DigestKind kind) {
  constexpr size_t kStep = size_t{16} << 20;
  const MappedFile file(path);
  const std::string_view content(reinterpret_cast<const char*>(file.bytes().data()),
                                 file.bytes().size());
  Digest digest(kind, content.size());
  for (size_t at = 0; at < content.size(); at += kStep) {
    digest.update(content.substr(at, kStep));
    file.release(at, std::min(kStep, content.size() - at));
  }
  return digest.finish();
}

}  // namespace e5v::detail
