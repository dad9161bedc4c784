#pragma once

#include "e5v/base/progress.h"
#include "e5v/cli/commands.h"
#include "e5v/train/trainer.h"

namespace e5v::detail {

/// Every step needs the same large tensors: given back to the system in between, a quarter of the
/// time goes into getting and clearing their pages anew.
void keep_freed_memory();

/// OpenMP's threads wait for each other in a loop, libgomp's for about 15 ms before they sleep: on
/// a machine with other work that takes more time than the training. libgomp reads its settings
/// when it is loaded, so the program begins anew with a shorter wait (0.1 ms) if nobody set one.
void shorten_waits();

/// Steps to `progress`, messages and warnings to the log; both must outlive the callbacks.
TrainCallbacks training_callbacks(Progress& progress, const CommandContext& context);

}  // namespace e5v::detail
