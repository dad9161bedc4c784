#include "e5v/convert/join_vision_tower.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "e5v/base/error.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/convert/rewrite_checkpoint.h"
#include "e5v/families/registry.h"
#include "e5v/nn/stored_tensor.h"

namespace e5v::detail {
namespace {

/// Where a vision tower, and with a whole model's its projector, is taken from.
class VisionSource {
 public:
  /// `names` are those of the model that gets the tower.
  VisionSource(const std::filesystem::path& folder, const WeightNames& names)
      : folder_(folder),
        model_names_(names),
        tower_(names.prefixes_of(PartKind::kVisionTower).at(0)),
        checkpoint_(Checkpoint::open(folder)) {
    for (const std::string& name : checkpoint_.names()) {
      const std::string canonical = names.canonical(name);
      names_[canonical] = name;
      is_whole_model_ |= names.kind_of(canonical) == PartKind::kVisionTower;
    }
  }

  bool replaces(std::string_view name) const {
    const PartKind kind = model_names_.kind_of(name);
    return kind == PartKind::kVisionTower || (is_whole_model_ && kind == PartKind::kProjector);
  }

  /// `name` is canonical, as the model has it. Throws ConfigError where there is none.
  TensorView at(std::string_view name) const {
    const std::string_view wanted = is_whole_model_ ? name : name.substr(tower_.size());
    const auto found = names_.find(wanted);
    if (found == names_.end()) {
      throw ConfigError(fmt::format("{}: there is no tensor '{}', expected a {}", folder_.native(),
                                    wanted, is_whole_model_ ? "LLaVA model" : "CLIP model"));
    }
    return *checkpoint_.find(found->second);
  }

  /// Before anything is written: every tensor must be there. Throws ConfigError.
  void require_fits(const Checkpoint& model) const {
    for (const std::string& name : model.names()) {
      const std::string canonical = model_names_.canonical(name);
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
  const WeightNames& model_names_;
  std::string tower_;  // prefix in the model of the tower's own names
  Checkpoint checkpoint_;
  std::map<std::string, std::string, std::less<>> names_;  // canonical to stored
  bool is_whole_model_ = false;
};

}  // namespace

void join_vision_tower(const std::filesystem::path& model, const std::filesystem::path& vision,
                       const std::filesystem::path& output, const ProgressCallback& progress) {
  const auto architecture = load_architecture(model);
  const WeightNames& names = architecture->weight_names();
  const VisionSource source(vision, names);
  source.require_fits(Checkpoint::open(model));
  rewrite_checkpoint(
      model, output, names,
      [&](const std::string& name, const at::Tensor&) -> std::optional<at::Tensor> {
        if (!source.replaces(name)) return std::nullopt;
        return copy_stored(source.at(name), at::kFloat);
      },
      progress);
}

}  // namespace e5v::detail
