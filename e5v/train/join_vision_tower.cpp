#include "e5v/train/join_vision_tower.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>
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
constexpr std::string_view kProjector = "multi_modal_projector.";

/// Where a vision tower, and with a LLaVA's its projector, is taken from.
class VisionSource {
 public:
  explicit VisionSource(const std::filesystem::path& folder)
      : folder_(folder), checkpoint_(Checkpoint::open(folder)) {
    for (const std::string& name : checkpoint_.names()) names_[canonical_key(name)] = name;
    const auto tower = names_.lower_bound(kTower);
    is_llava_ = tower != names_.end() && tower->first.starts_with(kTower);
  }

  bool replaces(std::string_view name) const {
    return name.starts_with(kTower) || (is_llava_ && name.starts_with(kProjector));
  }

  /// `name` is canonical, as a LLaVA has it. Throws ConfigError where there is none.
  TensorView at(std::string_view name) const {
    const std::string_view wanted = is_llava_ ? name : name.substr(kTower.size());
    const auto found = names_.find(wanted);
    if (found == names_.end()) {
      throw ConfigError(fmt::format("{}: there is no tensor '{}', expected a {} model",
                                    folder_.native(), wanted, is_llava_ ? "LLaVA" : "CLIP"));
    }
    return *checkpoint_.find(found->second);
  }

  /// Before anything is written: every tensor must be there. Throws ConfigError.
  void require_fits(const Checkpoint& model) const {
    for (const std::string& name : model.names()) {
      const std::string canonical = canonical_key(name);
      if (!replaces(canonical)) continue;
      const auto shape = model.find(name)->shape, found = at(canonical).shape;
      if (!std::equal(found.begin(), found.end(), shape.begin(), shape.end())) {
        throw ConfigError(fmt::format("{}: tensor '{}' is [{}], but the model's is [{}]",
                                      folder_.native(), canonical, fmt::join(found, ", "),
                                      fmt::join(shape, ", ")));
      }
    }
  }

 private:
  const std::filesystem::path& folder_;
  Checkpoint checkpoint_;
  std::map<std::string, std::string, std::less<>> names_;  // canonical to stored
  bool is_llava_ = false;
};

}  // namespace

void join_vision_tower(const std::filesystem::path& model, const std::filesystem::path& vision,
                       const std::filesystem::path& output, const ProgressCallback& progress) {
  const VisionSource source(vision);
  source.require_fits(Checkpoint::open(model));
  rewrite_checkpoint(
      model, output,
      [&](const std::string& name, const at::Tensor&) -> std::optional<at::Tensor> {
        if (!source.replaces(name)) return std::nullopt;
        return copy_stored(source.at(name), at::kFloat);
      },
      progress);
}

}  // namespace e5v
