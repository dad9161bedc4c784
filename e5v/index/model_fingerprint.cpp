#include "e5v/index/model_fingerprint.h"

#include <algorithm>
#include <vector>

#include "e5v/base/digest.h"
#include "e5v/base/error.h"
#include "e5v/base/file.h"

namespace e5v {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNumSamples = 64;
constexpr size_t kSampleBytes = 4096;
/// Enough to tell fingerprints apart, short enough to be read in a message.
constexpr size_t kShownDigits = 16;

std::string_view view_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Adds a file's size and, of a large one, its beginning, its end, and samples between.
void add_file(Digest& digest, const fs::path& path, bool sampled) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  digest.update(fmt::format("{} {}\n", path.filename().native(), bytes.size()));
  if (!sampled || bytes.size() <= kNumSamples * kSampleBytes) {
    digest.update(view_of(bytes));
    return;
  }
  for (size_t i = 0; i < kNumSamples; ++i) {
    const size_t offset = (bytes.size() - kSampleBytes) / (kNumSamples - 1) * i;
    digest.update(view_of(bytes.subspan(offset, kSampleBytes)));
  }
  digest.update(view_of(bytes.last(kSampleBytes)));
}

std::string digest_of(const std::vector<fs::path>& paths, bool sampled) {
  Digest digest(DigestKind::kSha256, 0);
  for (const fs::path& path : paths) {
    if (fs::exists(path)) add_file(digest, path, sampled);
  }
  return digest.finish().substr(0, kShownDigits);
}

std::vector<fs::path> weights_in(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".safetensors") paths.push_back(entry.path());
  }
  if (error) throw FileError(folder.native(), "cannot list", error.message());
  if (paths.empty()) throw FileError(folder.native(), "cannot read", "it has no .safetensors file");
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

Json model_fingerprint(const fs::path& model, const fs::path& adapter) {
  if (!fs::exists(model / "config.json")) {
    throw FileError((model / "config.json").native(), "cannot open", "no such file");
  }
  Json fingerprint = {
      {"config", digest_of({model / "config.json"}, false)},
      {"tokenizer", digest_of({model / "tokenizer.json"}, false)},
      {"images",
       digest_of({model / "preprocessor_config.json", model / "processor_config.json"}, false)},
      {"weights", digest_of(weights_in(model), true)}};
  if (!adapter.empty()) {
    std::vector<fs::path> files = weights_in(adapter);
    files.insert(files.begin(), adapter / "adapter_config.json");
    fingerprint["adapter"] = digest_of(files, true);
  }
  return fingerprint;
}

}  // namespace e5v
