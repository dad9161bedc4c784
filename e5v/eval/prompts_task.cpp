#include "e5v/eval/prompts_task.h"

#include <algorithm>
#include <map>

#include "e5v/base/error.h"
#include "e5v/eval/image_set.h"
#include "e5v/eval/protocols.h"

namespace e5v::detail {

TaskReport evaluate_prompts(const Protocol& protocol, const Evaluation& evaluation,
                            const std::vector<SystemVariant>& variants) {
  TaskReport all;
  std::map<std::string, std::pair<double, double>> ranges;  // of each metric over the variants
  for (const SystemVariant& variant : variants) {
    const TaskReport one = run_protocol(protocol, evaluation, variant.make);
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

}  // namespace e5v::detail
