#pragma once

#include "e5v/base/progress.h"
#include "e5v/cli/commands.h"
#include "e5v/train/trainer.h"

namespace e5v::detail {

/// Every step needs the same large tensors: given back to the system in between, a quarter of the
/// time goes into getting and clearing their pages anew.
void keep_freed_memory();

/// Steps to `progress`, messages and warnings to the log; both must outlive the callbacks.
TrainCallbacks training_callbacks(Progress& progress, const CommandContext& context);

}  // namespace e5v::detail
