#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "e5v/base/log.h"
#include "e5v/base/progress.h"  // ProgressCallback
#include "e5v/hub/hub.h"

namespace e5v::detail {

struct PullOptions {
  /// OWNER/NAME.
  std::string repository;
  /// Branch, tag or commit.
  std::string revision = "main";
  /// Folder for the files themselves. Empty: the cache, in the layout of huggingface_hub, so that
  /// transformers and e5v find each other's downloads.
  std::filesystem::path output;
  /// Shell patterns of the files wanted, where "*" crosses folders too. Empty: what e5v can use of
  /// a model, i.e. of the top folder *.json, *.safetensors, *.model, *.txt and *.jinja, without
  /// consolidated*.safetensors, which say the same again in another layout.
  std::vector<std::string> include;
  /// Patterns of the files not wanted after all.
  std::vector<std::string> exclude;

  /// Throws ConfigError.
  void validate() const;
};

struct PullResult {
  /// The folder that now holds the files.
  std::filesystem::path folder;
  std::string commit;
  std::vector<std::string> paths;
  size_t num_downloaded = 0;
  /// Bytes of the files that were downloaded now.
  uint64_t downloaded_bytes = 0;
};

/// Brings the files of a repository onto this machine, each checked against the hub's digest before
/// it appears under its name; what is there already is not downloaded again, what was begun is
/// continued (*.incomplete). Progress counts bytes. Throws ConfigError, InputError, FormatError,
/// ConnectionError and FileError.
PullResult pull(const PullOptions& options, const HubAccess& access, Logger& logger,
                const ProgressCallback& progress);

}  // namespace e5v::detail
