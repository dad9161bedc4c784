#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "e5v/base/options.h"
#include "e5v/eval/image_set.h"
#include "e5v/eval/system.h"
#include "e5v/eval/task_report.h"

namespace e5v {

/// What is evaluated, on which files.
struct TaskOptions {
  /// One of eval_task_names().
  std::string task;
  /// The data set's folder, or for retrieval the caption file itself.
  std::filesystem::path data;
  /// Folder of the pictures; empty = where the data set has them.
  std::filesystem::path images;
  /// Empty = the one that the paper's figures are of, as far as its answers are public: test for
  /// retrieval, val for the others.
  std::string split;
  /// Of each picture at the most, the first ones; 0 = all.
  int64_t captions_per_image = 5;
  /// sts only: sts12 … sts16, stsb, sickr; empty = all.
  std::vector<std::string> sts_tasks;
  OnMissing on_missing = OnMissing::kStop;
  /// Queries shown in each list of best and worst.
  int64_t num_examples = 8;

  void register_options(OptionRegistry& registry);
  /// Throws ConfigError.
  void validate() const;
};

/// flickr30k, coco, i2i-flickr30k, i2i-coco, retrieval, i2i, cirr, fashioniq, circo, sts.
const std::vector<std::string>& eval_task_names();

/// Evaluates one task. The data are read first and the system is made then: a wrong folder is found
/// before a model is loaded. Throws as the task's loader and the system do.
TaskReport run_task(const TaskOptions& options,
                    const std::function<std::unique_ptr<System>()>& make_system);

/// The same task under several systems, one after the other (prompt robustness): each metric by
/// each variant's name, `metric[name]`, and the distance of the best from the worst,
/// `metric_spread`.
struct NamedSystem {
  std::string name;
  std::function<std::unique_ptr<System>()> make;
};
TaskReport run_variants(const TaskOptions& options, const std::vector<NamedSystem>& variants);

/// Prompts to be tried against each other, before a chat template is put around them: a JSON list
/// of
/// {"name", "text", "image", "composed"}. Throws FileError, FormatError.
std::vector<PromptOverride> load_prompts(const std::filesystem::path& path);

/// The paper's own ablation and paraphrases of its prompt.
std::vector<PromptOverride> default_prompts();

}  // namespace e5v
