#include "e5v/train/join_vision_tower.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "e5v/base/error.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/model/checkpoint_keys.h"
#include "e5v/model/stored_tensor.h"
#include "e5v/train/rewrite_checkpoint.h"

namespace e5v {
namespace {

constexpr std::string_view kTower = "vision_tower.";  // before CLIP's own names

/// Before anything is written: every tensor of the tower must be there.
void require_fitting(const Checkpoint& model, const Checkpoint& clip,
                     const std::filesystem::path& clip_path) {
  for (const std::string& name : model.names()) {
    const std::string canonical = canonical_key(name);
    if (!canonical.starts_with(kTower)) continue;
    const std::string wanted = canonical.substr(kTower.size());
    const auto found = clip.find(wanted);
    if (!found) {
      throw ConfigError(fmt::format("{}: there is no tensor '{}', expected a CLIP model",
                                    clip_path.native(), wanted));
    }
    const auto shape = model.find(name)->shape;
    if (!std::equal(found->shape.begin(), found->shape.end(), shape.begin(), shape.end())) {
      throw ConfigError(fmt::format("{}: tensor '{}' is [{}], but the model's is [{}]",
                                    clip_path.native(), wanted, fmt::join(found->shape, ", "),
                                    fmt::join(shape, ", ")));
    }
  }
}

}  // namespace

void join_vision_tower(const std::filesystem::path& model, const std::filesystem::path& clip,
                       const std::filesystem::path& output, const ProgressCallback& progress) {
  const Checkpoint tower = Checkpoint::open(clip);
  require_fitting(Checkpoint::open(model), tower, clip);
  rewrite_checkpoint(
      model, output,
      [&](const std::string& name, const at::Tensor&) -> std::optional<at::Tensor> {
        if (!name.starts_with(kTower)) return std::nullopt;
        return copy_stored(*tower.find(name.substr(kTower.size())), at::kFloat);
      },
      progress);
}

}  // namespace e5v
