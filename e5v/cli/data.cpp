#include <filesystem>
#include <memory>
#include <vector>

#include "e5v/base/delimited.h"
#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/cli/commands.h"
#include "e5v/train/nli.h"

namespace e5v::detail {
namespace {

struct NliCommand {
  std::vector<std::string> inputs;
  std::filesystem::path output;
  bool one_per_premise = false;
  OnBadRow on_error = OnBadRow::kStop;

  void run(const CommandContext& context) const {
    if (output.extension() != ".csv") {
      throw ConfigError("--output must end in .csv: triplets are written as sent0,sent1,hard_neg");
    }
    NliTriplets collected;
    uint64_t num_pairs = 0, num_skipped = 0;
    for (const auto& input : inputs) {
      read_nli(
          input, on_error,
          [&](NliPair pair) {
            ++num_pairs;
            collected.add(std::move(pair));
          },
          [&](const std::string& message) {
            ++num_skipped;
            context.log().warn("{}", message);
          });
    }
    const std::vector<Triplet> triplets = collected.triplets(one_per_premise);
    AtomicFile file(output);
    file.write(csv_line({"sent0", "sent1", "hard_neg"}));
    for (const Triplet& triplet : triplets) {
      file.write(csv_line({triplet.anchor.text, triplet.positive.text, triplet.negatives[0].text}));
    }
    file.commit();
    if (context.json) {
      return context.print_json({{"file", output.native()},
                                 {"triplets", triplets.size()},
                                 {"pairs", num_pairs},
                                 {"skipped", num_skipped}});
    }
    context.print(fmt::format("{}: {} triplets of {} labelled pairs", output.native(),
                              triplets.size(), num_pairs));
  }
};

}  // namespace

void register_data(CLI::App& app, CommandContext& context) {
  Command data =
      add_command(app, context, "data", "Make training data",
                  "e5v data nli --input snli_1.0_train.jsonl --input multinli_1.0_train.jsonl "
                  "--output nli.csv\n"
                  "e5v data nli --input SNLI/ --output snli.csv --one-per-premise\n"
                  "\n"
                  "A folder holds s1.NAME, s2.NAME and labels.NAME.");
  Command nli = data.add_command_below(
      "nli", "Triplets of SNLI or MNLI: a premise, an entailed and a contradicting hypothesis");
  auto command = std::make_shared<NliCommand>();
  nli.add_required("input", command->inputs,
                   "Labelled pairs: .jsonl, .tsv, .txt, .csv or a folder");
  nli.add_required("output", command->output, "CSV file to make");
  nli.add("one-per-premise", command->one_per_premise,
          "One triplet a premise rather than one for each entailed hypothesis");
  nli.add("on-error", command->on_error, {{"stop", OnBadRow::kStop}, {"skip", OnBadRow::kSkip}},
          "What a bad row does");
  nli.set_callback([command, &context] { command->run(context); });
}

}  // namespace e5v::detail
