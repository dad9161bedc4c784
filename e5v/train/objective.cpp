#include "e5v/train/objective.h"

#include "e5v/base/error.h"
#include "e5v/train/clip_objective.h"
#include "e5v/train/contrastive_objective.h"
#include "e5v/train/language_objective.h"

namespace e5v {

std::unique_ptr<Objective> make_objective(
    const TrainFiles& files, const TrainOptions& options, ProcessGroup& group,
    const std::function<void(const std::string&)>& on_warning) {
  switch (options.objective) {
    case TrainingObjective::kContrastive:
      return std::make_unique<ContrastiveObjective>(files, options, group, on_warning);
    case TrainingObjective::kLanguage:
      return std::make_unique<LanguageObjective>(files, options, group, on_warning);
    case TrainingObjective::kClip:
      return std::make_unique<ClipObjective>(files, options, group, on_warning);
  }
  throw_broken_invariant("objective is an enumerator", __FILE__, __LINE__);
}

}  // namespace e5v
