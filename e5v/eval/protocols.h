#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "e5v/eval/protocol.h"

namespace e5v::detail {

/// All protocols, in the order of the help.
const std::vector<Protocol>& protocols();

/// The protocol of that name, or nullptr.
const Protocol* find_protocol(std::string_view name);

/// Their names, in the order of the help.
std::vector<std::string> protocol_names();

/// The published figures of the protocol of that name, and what is to be known about them; empty
/// for a name that is none: reports of the gap and of prompts have tasks of their own.
const std::vector<PublishedFigures>& published_figures(std::string_view task);
std::string_view note_on_published(std::string_view task);

/// Evaluates by `protocol` and puts its name into the report. Throws as Evaluation::run.
TaskReport run_protocol(const Protocol& protocol, const Evaluation& evaluation,
                        const MakeSystem& make_system);

}  // namespace e5v::detail
