#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace e5v::detail {

/// The two ways in which a hub names a file's content: SHA-256 for large files (git LFS), and git's
/// blob id, the SHA-1 of "blob <size>\0" and the content, for small ones.
enum class DigestKind { kSha256, kGitBlob };

/// Hashes bytes as they come.
class Digest {
 public:
  /// `content_bytes` is the size of the whole content, which a git blob id begins with.
  Digest(DigestKind kind, uint64_t content_bytes);
  ~Digest();

  void update(std::string_view bytes);
  /// Lower-case hexadecimal digits: 64 or 40. Ends the digest.
  std::string finish();
  /// The same as 32 or 20 bytes.
  std::string finish_bytes();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// The digest of a whole file. Throws FileError.
std::string file_digest(const std::filesystem::path& path, DigestKind kind);

}  // namespace e5v::detail
