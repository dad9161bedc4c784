#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/text_file.h"
#include "e5v/eval/data_options.h"
#include "e5v/eval/image_set.h"
#include "e5v/eval/protocol.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

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

  size_t num_pairs() const {
    size_t count = 0;
    for (const StsSubset& subset : subsets) count += subset.pairs.size();
    return count;
  }
};

struct TaskFiles {
  const char* name;
  const char* title;
  const char* folder;
  std::vector<std::string> subsets;  // empty: a single file of columns
};

const std::vector<TaskFiles>& task_files() {
  static const std::vector<TaskFiles> files = {
      {"sts12",
       "STS12",
       "STS12-en-test",
       {"MSRpar", "MSRvid", "SMTeuroparl", "surprise.OnWN", "surprise.SMTnews"}},
      {"sts13", "STS13", "STS13-en-test", {"FNWN", "headlines", "OnWN"}},
      {"sts14",
       "STS14",
       "STS14-en-test",
       {"deft-forum", "deft-news", "headlines", "images", "OnWN", "tweet-news"}},
      {"sts15",
       "STS15",
       "STS15-en-test",
       {"answers-forums", "answers-students", "belief", "headlines", "images"}},
      {"sts16",
       "STS16",
       "STS16-en-test",
       {"answer-answer", "headlines", "plagiarism", "postediting", "question-question"}},
      {"stsb", "STS-B", "STSBenchmark", {}},
      {"sickr", "SICK-R", "SICK", {}},
  };
  return files;
}

std::vector<std::string> lines_of(const fs::path& path) {
  const std::string text = read_text_file(path, UINT64_C(1) << 28);
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

std::vector<std::string> columns_of(const std::string& line) {
  std::vector<std::string> columns;
  for (size_t at = 0; at <= line.size();) {
    const size_t end = std::min(line.find('\t', at), line.size());
    columns.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return columns;
}

double parse_score(const std::string& text, const fs::path& path, size_t line) {
  double score = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, score);
  if (parsed.ec != std::errc() || parsed.ptr != end || !std::isfinite(score)) {
    throw FormatError(path.native(), fmt::format("line {} has the score '{}', expected a number",
                                                 line, printable(text)));
  }
  return score;
}

[[noreturn]] void throw_columns(const fs::path& path, size_t line, size_t expected, size_t got) {
  throw FormatError(path.native(), fmt::format("line {} has {} tab-separated columns, expected {} "
                                               "or more",
                                               line, got, expected));
}

/// STS.input.NAME.txt and STS.gs.NAME.txt.
StsSubset load_subset(const fs::path& folder, const std::string& name) {
  const fs::path input = folder / fmt::format("STS.input.{}.txt", name);
  const fs::path gold = folder / fmt::format("STS.gs.{}.txt", name);
  const std::vector<std::string> sentences = lines_of(input), scores = lines_of(gold);
  if (sentences.size() != scores.size()) {
    throw FormatError(gold.native(), fmt::format("has {} lines, but {} has {}", scores.size(),
                                                 input.filename().native(), sentences.size()));
  }
  StsSubset subset{.name = name, .pairs = {}};
  for (size_t i = 0; i < scores.size(); ++i) {
    if (scores[i].empty()) continue;
    const std::vector<std::string> columns = columns_of(sentences[i]);
    if (columns.size() < 2) throw_columns(input, i + 1, 2, columns.size());
    subset.pairs.push_back({columns[0], columns[1], parse_score(scores[i], gold, i + 1)});
  }
  return subset;
}

/// One file of columns: the sentences in `first` and the next one, the score in `score`.
StsSubset load_columns(const fs::path& path, size_t first, size_t score, bool has_header) {
  StsSubset subset{.name = "test", .pairs = {}};
  const std::vector<std::string> lines = lines_of(path);
  for (size_t i = has_header ? 1 : 0; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    const std::vector<std::string> columns = columns_of(lines[i]);
    const size_t needed = std::max(first + 2, score + 1);
    if (columns.size() < needed) throw_columns(path, i + 1, needed, columns.size());
    subset.pairs.push_back(
        {columns[first], columns[first + 1], parse_score(columns[score], path, i + 1)});
  }
  return subset;
}

StsTask load_task(const fs::path& root, const TaskFiles& files) {
  StsTask task{.name = files.name, .title = files.title, .subsets = {}};
  const fs::path folder = fs::is_directory(root / "STS" / files.folder)
                              ? root / "STS" / files.folder
                              : root / files.folder;
  if (!fs::is_directory(folder)) {
    throw FileError(
        root.native(), fmt::format("cannot find {}", files.title),
        fmt::format("looked for the folders {} and STS/{}", files.folder, files.folder));
  }
  for (const std::string& name : files.subsets) {
    task.subsets.push_back(load_subset(folder, name));
  }
  if (task.name == "stsb") {
    task.subsets.push_back(load_columns(folder / "sts-test.csv", 5, 4, /*has_header=*/false));
  } else if (task.name == "sickr") {
    task.subsets.push_back(load_columns(folder / "SICK_test_annotated.txt", 1, 3, true));
  }
  return task;
}

void add_correlations(const StsTask& task, const std::vector<StsPart>& parts, TaskReport& report) {
  const StsCorrelations rank = correlate_parts(parts, spearman);
  const StsCorrelations linear = correlate_parts(parts, pearson);
  const auto add = [&](const std::string& name, double value) {
    report.metrics.push_back({fmt::format("{}_{}", task.name, name), 100 * value, std::nullopt});
  };
  add("spearman", rank.all);
  add("pearson", linear.all);
  if (parts.size() < 2) return;
  add("spearman_mean", rank.mean);
  add("spearman_weighted_mean", rank.weighted_mean);
  for (size_t i = 0; i < parts.size(); ++i) {
    add(fmt::format("{}_spearman", task.subsets[i].name),
        spearman(parts[i].cosines, parts[i].scores));
  }
}

/// The tasks of these names, all if there are none. Pairs without a score are left out, as SentEval
/// leaves them out. Throws FileError, FormatError naming file and line.
std::vector<StsTask> load_sts(const fs::path& folder, const std::vector<std::string>& names) {
  std::vector<StsTask> tasks;
  for (const std::string& name : names) {
    const bool is_known = std::any_of(task_files().begin(), task_files().end(),
                                      [&](const TaskFiles& files) { return files.name == name; });
    if (!is_known) {
      throw ConfigError(
          fmt::format("there is no STS task '{}', expected sts12 to sts16, stsb or "
                      "sickr",
                      printable(name)));
    }
  }
  for (const TaskFiles& files : task_files()) {
    const bool is_wanted =
        names.empty() || std::find(names.begin(), names.end(), files.name) != names.end();
    if (is_wanted) tasks.push_back(load_task(folder, files));
  }
  return tasks;
}

/// A sentence as the published evaluation hands it to the prompt: words with single spaces, a full
/// stop where the end has none, `"` as `'`, a last `?` as `.`.
std::string normalize_sts_sentence(const std::string& sentence) {
  std::string text;
  for (const std::string& word : split_words(sentence)) {
    if (!text.empty()) text += ' ';
    text += word;
  }
  if (text.empty()) text += '.';
  if (std::string(".?\"'").find(text.back()) == std::string::npos) text += '.';
  std::replace(text.begin(), text.end(), '"', '\'');
  if (text.back() == '?') text.back() = '.';
  return text;
}

/// The cosines of a task's pairs and people's scores, subset by subset.
std::vector<StsPart> score_pairs(System& system, const StsTask& task) {
  std::vector<std::string> sentences;
  for (const StsSubset& subset : task.subsets) {
    for (const StsPair& pair : subset.pairs) {
      sentences.push_back(normalize_sts_sentence(pair.first));
      sentences.push_back(normalize_sts_sentence(pair.second));
    }
  }
  const Embedded embedded = system.texts(sentences, "sts");
  std::vector<std::string> unused;
  check_embedded(
      embedded, OnMissing::kStop, [&](size_t i) { return sentences[i]; }, unused);
  std::vector<StsPart> parts;
  int64_t next = 0;
  for (const StsSubset& subset : task.subsets) {
    StsPart& part = parts.emplace_back();
    for (const StsPair& pair : subset.pairs) {
      part.cosines.push_back(cosine(embedded.vectors[next], embedded.vectors[next + 1]));
      part.scores.push_back(pair.score);
      next += 2;
    }
  }
  return parts;
}

/// Spearman's correlation of cosines with people's scores, times 100: over all pairs of a task (the
/// paper's figure), and as mean and weighted mean of the subsets; Pearson's too.
class StsEvaluation final : public Evaluation {
 public:
  void register_options(OptionRegistry& registry) override {
    register_data(registry, data_);
    registry.add("sts-task", names_, "One of sts12 to sts16, stsb, sickr; may be repeated");
  }
  void validate() const override { check_data(data_); }

  TaskReport run(const MakeSystem& make_system) const override {
    validate();
    const std::vector<StsTask> tasks = load_sts(data_, names_);
    const std::unique_ptr<System> system = make_system();
    TaskReport report;
    report.system = system->describe();
    Json counts = Json::object();
    double sum = 0;
    for (const StsTask& task : tasks) {
      add_correlations(task, score_pairs(*system, task), report);
      counts[task.name] = task.num_pairs();
      sum += report.find(task.name + "_spearman")->value;
    }
    system->finish();
    if (tasks.size() == task_files().size()) {
      report.metrics.push_back(
          {"sts_mean_spearman", sum / static_cast<double>(tasks.size()), std::nullopt});
    }
    report.data = {{"pairs", counts}};
    return report;
  }

 private:
  fs::path data_;
  std::vector<std::string> names_;  // empty = all
};

PublishedFigures figures(std::string system, const std::vector<double>& correlations) {
  PublishedFigures figures{std::move(system), {}};
  for (size_t i = 0; i < task_files().size(); ++i) {
    figures.metrics[fmt::format("{}_spearman", task_files()[i].name)] = correlations[i];
  }
  figures.metrics["sts_mean_spearman"] = correlations.back();
  return figures;
}

}  // namespace

/// Table 5.
Protocol sts_protocol() {
  return {.name = "sts",
          .summary = "STS12 to STS16, STS-B and SICK-R, similarity of sentences (table 5)",
          .data_layout =
              "SentEval's folders STS12-en-test … STS16-en-test, STSBenchmark (tokenized) and "
              "SICK, as\n"
              "its get_transfer_data.bash makes them; also in STS/.",
          .example_data = "SentEval/data/downstream/STS",
          .metrics =
              "sts12_spearman … sts16_spearman, stsb_spearman, sickr_spearman, "
              "sts_mean_spearman; …_pearson, …_spearman_mean, …_spearman_weighted_mean, and "
              "one of each subset",
          .make_evaluation = []() -> std::unique_ptr<Evaluation> {
            return std::make_unique<StsEvaluation>();
          },
          .published = {
              figures("E5-V", {80.03, 89.94, 85.67, 89.09, 85.89, 87.88, 83.51, 86.00}),
              figures("PromptEOL", {79.16, 90.22, 85.40, 88.99, 86.25, 88.37, 81.51, 85.70}),
              figures("SimCSE-RoBERTa", {76.53, 85.21, 80.95, 86.03, 82.57, 85.83, 80.50, 82.52})}};
}

}  // namespace e5v::detail
