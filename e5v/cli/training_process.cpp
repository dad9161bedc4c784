#include "e5v/cli/training_process.h"

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <system_error>
#include <vector>

namespace e5v::detail {

void keep_freed_memory() {
  ::mallopt(M_MMAP_MAX, 0);  // M_MMAP_THRESHOLD goes to 32 MB only
  ::mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

void shorten_waits() {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  std::ifstream command_line("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string one; std::getline(command_line, one, '\0');) arguments.push_back(one);
  if (arguments.empty() || ::setenv("GOMP_SPINCOUNT", "2000", /*overwrite=*/0) != 0) return;
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error)
    ::execv(program.c_str(),
            pointers.data());  // returns only where it failed: then with long waits
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
