#include "e5v/eval/data_options.h"

#include "e5v/base/error.h"

namespace e5v::detail {

void DataOptions::register_options(OptionRegistry& registry) {
  register_data(registry, data);
  registry.add("images", images, "Folder of the pictures, where they are elsewhere");
  registry.add("split", split, "Split of the data set");
  registry.add("on-error", on_missing, {{"stop", OnMissing::kStop}, {"skip", OnMissing::kSkip}},
               "What missing or damaged pictures do");
}

void DataOptions::register_examples(OptionRegistry& registry) {
  registry.add("examples", num_examples, "Queries in each list of best and worst in the report");
}

void DataOptions::validate() const {
  check_data(data);
  if (num_examples < 0) {
    throw ConfigError(fmt::format("'examples' is {}, expected 0 or more", num_examples));
  }
}

void register_data(OptionRegistry& registry, std::filesystem::path& data) {
  registry.add("data", data, "The data set's folder as its owners publish it, or a caption file");
}

void check_data(const std::filesystem::path& data) {
  if (data.empty()) throw ConfigError("--data is required: the data set's folder");
}

}  // namespace e5v::detail
