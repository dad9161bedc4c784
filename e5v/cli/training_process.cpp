#include "e5v/cli/training_process.h"

#include <fmt/format.h>
#include <malloc.h>

#include <limits>

namespace e5v::detail {

void keep_freed_memory() {
  ::mallopt(M_MMAP_MAX, 0);  // M_MMAP_THRESHOLD goes to 32 MB only
  ::mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

TrainCallbacks training_callbacks(Progress& progress, const CommandContext& context) {
  TrainCallbacks callbacks;
  callbacks.on_message = [&](const std::string& message) { context.log().info("{}", message); };
  callbacks.on_warning = [&](const std::string& message) { context.log().warn("{}", message); };
  callbacks.on_step = [&](const StepMetrics& metrics) {
    progress.set_label(fmt::format("train  loss {:.4f}  lr {:.2e}  {:.0f} tokens/s  step",
                                   metrics.loss, metrics.learning_rate, metrics.tokens_per_second));
    progress.update(static_cast<uint64_t>(metrics.step), static_cast<uint64_t>(metrics.num_steps));
  };
  return callbacks;
}

}  // namespace e5v::detail
