#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "e5v/export.h"

namespace e5v {

/// One optimizer step.
struct TrainStep {
  int64_t step = 0;  ///< from 1
  int64_t num_steps = 0;
  double loss = 0;
  double learning_rate = 0;
};

/// A run of `e5v train` on this machine.
struct TrainOptions {
  /// A checkpoint folder; empty as of EmbedderOptions.
  std::filesystem::path model{};
  /// Triplets with a header sent0,sent1[,hard_neg] (.csv, .tsv) or lines of JSON (.jsonl), as
  /// docs/training.md has them.
  std::filesystem::path data{};
  /// Folder of the run, which is also the PEFT adapter at the end; new, or that of a run to go on
  /// with.
  std::filesystem::path output{};
  /// A recipe that comes with the library (docs/training.md), or a JSON file.
  std::string recipe = "clean";
  /// A JSON object of options that go before the recipe's, e.g. R"({"max_steps": 100})".
  std::string options = "{}";
  /// Go on from the newest checkpoint in `output`, if any.
  bool resume = false;
  /// Threads of the CPU's work, as of EmbedderOptions.
  int64_t threads = 0;
  std::function<void(const TrainStep& step)> on_step{};
  /// One line about what is done, or is odd but harmless.
  std::function<void(const std::string& message)> on_message{};
};

struct TrainResult {
  int64_t num_steps = 0;
  double last_loss = 0;
  std::filesystem::path adapter{};  ///< a PEFT folder, for EmbedderOptions::adapter
};

/// Trains contrastively, as the paper does: LoRA on the language model, on texts alone. Throws
/// FileError, FormatError, ConfigError; Error naming the rows where a loss is not finite.
E5V_API TrainResult train(const TrainOptions& options);

}  // namespace e5v
