#include "e5v/trainer.h"

#include <ATen/Parallel.h>

#include "e5v/base/json.h"
#include "e5v/embed/default_model.h"
#include "e5v/train/trainer.h"

namespace e5v {

TrainResult train(const TrainOptions& options) {
  detail::TrainFiles files;
  files.model = options.model.empty() ? detail::default_model() : options.model;
  files.data = options.data;
  files.output = options.output;
  files.resume = options.resume;
  const detail::Json recipe = detail::find_recipe(options.recipe);
  const detail::Json given = detail::parse_json(options.options, "options");
  const auto inside =
      detail::make_options_for(given.contains("objective") ? given : recipe, options.recipe);
  detail::apply_recipe(recipe, options.recipe, *inside);
  detail::apply_recipe(given, "options", *inside);
  inside->validate();
  if (options.threads > 0) at::set_num_threads(static_cast<int>(options.threads));
  detail::TrainCallbacks callbacks;
  if (options.on_message) {
    callbacks.on_message = options.on_message;
    callbacks.on_warning = options.on_message;
  }
  if (options.on_step) {
    callbacks.on_step = [&options](const detail::StepMetrics& step) {
      options.on_step({.step = step.step,
                       .num_steps = step.num_steps,
                       .loss = step.loss,
                       .learning_rate = step.learning_rate});
    };
  }
  detail::ProcessGroup alone;
  detail::Trainer trainer(files, *inside, alone, callbacks);
  const detail::TrainSummary summary = trainer.run();
  return {.num_steps = summary.num_steps, .last_loss = summary.last_loss, .adapter = files.output};
}

}  // namespace e5v
