#include "e5v/eval/tasks.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "e5v/base/error.h"
#include "e5v/eval/composed_retrieval.h"
#include "e5v/eval/retrieval.h"
#include "e5v/eval/sts.h"

namespace e5v {
namespace {

using MakeSystem = std::function<std::unique_ptr<System>()>;

bool is_retrieval(const std::string& task) {
  return task == "flickr30k" || task == "coco" || task == "retrieval" || task.starts_with("i2i");
}

ComposedData composed_data(const TaskOptions& options) {
  return {.path = options.data,
          .images = options.images,
          .split = options.split.empty() ? "val" : options.split};
}

TaskReport run_retrieval(const TaskOptions& options, const MakeSystem& make) {
  RetrievalSet set = load_retrieval({.path = options.data,
                                     .images = options.images,
                                     .split = options.split.empty() ? "test" : options.split,
                                     .captions_per_image = options.captions_per_image});
  RetrievalOptions retrieval;
  retrieval.on_missing = options.on_missing;
  retrieval.draw_captions = options.task.starts_with("i2i");
  retrieval.num_examples = static_cast<size_t>(options.num_examples);
  return evaluate_retrieval(*make(), std::move(set), retrieval);
}

TaskReport run_composed(const TaskOptions& options, const MakeSystem& make) {
  const ComposedData data = composed_data(options);
  ComposedOptions composed;
  composed.on_missing = options.on_missing;
  composed.num_examples = static_cast<size_t>(options.num_examples);
  if (options.task == "fashioniq") {
    load_fashioniq(data, "dress");  // a wrong folder is to be found before the model is loaded
    return evaluate_fashioniq(*make(), data, composed);
  }
  if (options.task == "cirr") {
    ComposedSet set = load_cirr(data);
    return evaluate_cirr(*make(), std::move(set), composed, data.split);
  }
  ComposedSet set = load_circo(data);
  return evaluate_circo(*make(), std::move(set), composed, data.split);
}

}  // namespace

void TaskOptions::register_options(OptionRegistry& registry) {
  registry.add("data", data, "The data set's folder as its owners publish it, or a caption file");
  registry.add("images", images, "Folder of the pictures, where they are elsewhere");
  registry.add("split", split, "Split of the data set; by default test for retrieval, else val");
  registry.add("captions-per-image", captions_per_image,
               "Captions of each picture at the most, the first ones; 0 = all");
  registry.add("sts-task", sts_tasks, "One of sts12 to sts16, stsb, sickr; may be repeated");
  registry.add("on-error", on_missing, {{"stop", OnMissing::kStop}, {"skip", OnMissing::kSkip}},
               "What missing or damaged pictures do");
  registry.add("examples", num_examples, "Queries in each list of best and worst in the report");
}

void TaskOptions::validate() const {
  const std::vector<std::string>& names = eval_task_names();
  if (std::find(names.begin(), names.end(), task) == names.end()) {
    throw ConfigError(fmt::format("there is no task '{}', expected one of {}, gap, prompts",
                                  printable(task), fmt::join(names, ", ")));
  }
  if (data.empty()) throw ConfigError("--data is required: the data set's folder");
  if (num_examples < 0) {
    throw ConfigError(fmt::format("'examples' is {}, expected 0 or more", num_examples));
  }
}

const std::vector<std::string>& eval_task_names() {
  static const std::vector<std::string> names = {"flickr30k", "coco", "i2i-flickr30k", "i2i-coco",
                                                 "retrieval", "i2i",  "cirr",          "fashioniq",
                                                 "circo",     "sts"};
  return names;
}

TaskReport run_task(const TaskOptions& options, const MakeSystem& make_system) {
  options.validate();
  TaskReport report;
  if (is_retrieval(options.task)) {
    report = run_retrieval(options, make_system);
  } else if (options.task == "sts") {
    const std::vector<StsTask> tasks = load_sts(options.data, options.sts_tasks);
    report = evaluate_sts(*make_system(), tasks);
  } else {
    report = run_composed(options, make_system);
  }
  report.task = options.task;
  return report;
}

TaskReport run_variants(const TaskOptions& options, const std::vector<NamedSystem>& variants) {
  TaskReport all;
  std::map<std::string, std::pair<double, double>> ranges;  // of each metric over the variants
  for (const NamedSystem& variant : variants) {
    const TaskReport one = run_task(options, variant.make);
    if (all.task.empty()) {
      all.task = "prompts";
      all.system = one.system;
      all.system.erase("prompts");
      all.data = one.data;
      all.data["task"] = one.task;
      all.skipped = one.skipped;
    }
    for (const Metric& metric : one.metrics) {
      const auto [range, is_new] = ranges.try_emplace(metric.name, metric.value, metric.value);
      range->second.first = std::min(range->second.first, metric.value);
      range->second.second = std::max(range->second.second, metric.value);
      all.metrics.push_back(
          {fmt::format("{}[{}]", metric.name, variant.name), metric.value, metric.interval});
    }
    for (const auto& [name, values] : one.per_query) {
      all.per_query[fmt::format("{}[{}]", name, variant.name)] = values;
    }
  }
  for (const auto& [name, range] : ranges) {
    all.metrics.push_back({name + "_spread", range.second - range.first, std::nullopt});
  }
  return all;
}

std::vector<PromptOverride> load_prompts(const std::filesystem::path& path) {
  std::vector<PromptOverride> prompts;
  try {
    const Json json = read_json(path);
    if (!json.is_array() || json.empty()) throw ConfigError("expected a list of prompts");
    std::vector<std::string> names;
    for (const Json& entry : json) {
      prompts.push_back({.name = require_field<std::string>(entry, "name"),
                         .text = field_or<std::string>(entry, "text", ""),
                         .image = field_or<std::string>(entry, "image", ""),
                         .composed = field_or<std::string>(entry, "composed", "")});
      names.push_back(prompts.back().name);
    }
    check_unique(names, path.native());
  } catch (const ConfigError& error) {
    throw FormatError(path.native(), error.what());
  }
  return prompts;
}

std::vector<PromptOverride> default_prompts() {
  return {
      {"the paper's", "", "", ""},
      {"without 'in one word'",
       "<sent>\nSummary above sentence: ", "<image>\nSummary above image: ",
       "<image>Modify this image with \"<sent>\", describe modified image: "},
      {"last token", "<sent>", "<image>", "<image><sent>"},
      {"describe", "<sent>\nDescribe the sentence above in one word: ",
       "<image>\nDescribe the image above in one word: ",
       "<image>\nChange it: <sent>\nDescribe the changed image in one word: "},
      {"meaning",
       "This sentence: \"<sent>\" means in one word: ", "This image: <image> means in one word: ",
       "This image: <image> with the change \"<sent>\" means in one word: "},
  };
}

}  // namespace e5v
