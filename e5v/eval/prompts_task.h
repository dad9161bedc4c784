#pragma once

#include <filesystem>
#include <vector>

#include "e5v/eval/e5v_system.h"
#include "e5v/eval/protocol.h"
#include "e5v/eval/system.h"
#include "e5v/eval/task_report.h"

namespace e5v::detail {

/// One protocol under several prompts, one after the other: each metric by each variant's name,
/// `metric[name]`, and the distance of the best from the worst, `metric_spread`.
TaskReport evaluate_prompts(const Protocol& protocol, const Evaluation& evaluation,
                            const std::vector<SystemVariant>& variants);

/// Prompts to be compared, before a chat template is put around them: a JSON list of
/// {"name", "text", "image", "composed"}. Throws FileError, FormatError.
std::vector<PromptOverride> load_prompts(const std::filesystem::path& path);

/// The paper's own ablation and paraphrases of its prompt.
std::vector<PromptOverride> default_prompts();

}  // namespace e5v::detail
