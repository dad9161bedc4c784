#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "e5v/eval/system.h"
#include "e5v/eval/task_report.h"

namespace e5v {

struct StsPair {
  std::string first, second;
  double score = 0;  ///< people's
};

/// One file of a task.
struct StsSubset {
  std::string name;
  std::vector<StsPair> pairs;
};

struct StsTask {
  std::string name;   ///< "sts12" … "sts16", "stsb", "sickr"
  std::string title;  ///< "STS12" …, "STS-B", "SICK-R"
  std::vector<StsSubset> subsets;

  size_t num_pairs() const;
};

/// The seven tasks of the paper's table 5 from SentEval's folders in `folder`: STS12-en-test …
/// STS16-en-test, STSBenchmark and SICK (also under STS/). Pairs without a score are left out, as
/// SentEval does. `names` chooses tasks; empty = all. Throws FileError, FormatError naming file and
/// line.
std::vector<StsTask> load_sts(const std::filesystem::path& folder,
                              const std::vector<std::string>& names = {});

/// A sentence as the published evaluation hands it to the prompt: words with single spaces, a full
/// stop where the end has none, `"` as `'`, a last `?` as `.`.
std::string normalize_sts_sentence(const std::string& sentence);

/// Table 5: Spearman's correlation of cosines with people's scores, times 100: over all pairs of a
/// task (the paper's figure), and as mean and weighted mean of the subsets; Pearson's too.
TaskReport evaluate_sts(System& system, const std::vector<StsTask>& tasks);

}  // namespace e5v
