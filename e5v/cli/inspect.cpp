#include <filesystem>
#include <memory>
#include <string>

#include "e5v/base/error.h"
#include "e5v/cli/commands.h"
#include "e5v/convert/inspect_model.h"

namespace e5v::detail {
namespace {

/// Three digits and a decimal prefix, e.g. "8.03 GB" or "8.03 G".
std::string in_units(uint64_t value, std::string_view unit = "") {
  if (value < 1000) return fmt::format("{}{}{}", value, unit.empty() ? "" : " ", unit);
  double scaled = static_cast<double>(value) / 1000;
  std::string_view prefixes = "kMGTPE";
  for (; scaled >= 999.5; scaled /= 1000) prefixes.remove_prefix(1);
  return fmt::format("{:.{}f} {}{}", scaled,
                     scaled < 9.995   ? 2
                     : scaled < 99.95 ? 1
                                      : 0,
                     prefixes[0], unit);
}

class TextReport {
 public:
  void line(std::string_view label, const std::string& text) {
    lines_ += fmt::format("{}{:<13} {}", lines_.empty() ? "" : "\n", label, text);
  }
  const std::string& lines() const { return lines_; }

 private:
  std::string lines_;
};

std::string text_report(const ModelInspection& found) {
  TextReport report;
  for (const auto& [label, text] : found.architecture->describe().lines) report.line(label, text);
  std::string parts;
  for (const ModelInspection::Part& part : found.parts) {
    if (part.num_parameters == 0) continue;
    parts +=
        fmt::format("{}{} {}", parts.empty() ? "" : ", ", part.name, in_units(part.num_parameters));
  }
  report.line("parameters", fmt::format("{}: {}", in_units(found.num_parameters()), parts));
  std::string memory;
  for (const auto& [precision, bytes] : found.memory_bytes) {
    memory += fmt::format("{}{} {}", memory.empty() ? "" : ", ", precision_name(precision),
                          in_units(bytes, "B"));
  }
  report.line("memory", memory + " (weights)");
  if (found.stored_precision) {
    report.line("quantised", fmt::format("to {}", precision_name(*found.stored_precision)));
  }
  for (const auto& [dtype, stored] : found.stored_types) {
    report.line("stored", fmt::format("{} tensors of {}, {}", stored.num_tensors, dtype_name(dtype),
                                      in_units(stored.num_bytes, "B")));
  }
  for (const ModelInspection::File& file : found.weight_files) {
    report.line("file", fmt::format("{}  {}", printable(file.name), in_units(file.num_bytes, "B")));
  }
  for (const std::string& name : found.missing_files) report.line("no file", name);
  if (found.has_weights) {
    report.line("tensors", fmt::format("{} used, {} not needed", found.report.sources.size(),
                                       found.num_unused_tensors));
    for (const std::string& name : found.report.missing) report.line("missing", printable(name));
    for (const std::string& name : found.report.misshaped) {
      report.line("other shape", printable(name, 200));
    }
    for (const std::string& name : found.report.unexpected) {
      report.line("unexpected", printable(name));
    }
  } else if (found.weights_error.empty()) {
    report.line("no weights", "only the configuration is there");
  } else {
    report.line("weights", found.weights_error);
  }
  return report.lines();
}

Json json_report(const ModelInspection& found) {
  const TextConfig& text = found.architecture->text();
  Json parts = Json::object(), memory = Json::object(), stored = Json::object();
  Json files = Json::array();
  for (const auto& part : found.parts) parts[part.name] = part.num_parameters;
  for (const auto& [precision, bytes] : found.memory_bytes)
    memory[precision_name(precision)] = bytes;
  for (const auto& [dtype, type] : found.stored_types) {
    stored[std::string(dtype_name(dtype))] = {{"tensors", type.num_tensors},
                                              {"bytes", type.num_bytes}};
  }
  for (const auto& file : found.weight_files) {
    files.push_back({{"name", file.name}, {"bytes", file.num_bytes}});
  }
  Json report = {{"text",
                  {{"model_type", text.model_type},
                   {"num_hidden_layers", text.num_hidden_layers},
                   {"hidden_size", text.hidden_size},
                   {"vocab_size", text.vocab_size},
                   {"max_position_embeddings", text.max_position_embeddings}}},
                 {"parameters", found.num_parameters()},
                 {"parameters_by_part", parts},
                 {"memory_bytes", memory},
                 {"stored", stored},
                 {"quantised",
                  found.stored_precision ? Json(precision_name(*found.stored_precision)) : Json()},
                 {"files", files},
                 {"missing_files", found.missing_files},
                 {"has_weights", found.has_weights},
                 {"weights_error", found.weights_error},
                 {"used_tensors", found.report.sources.size()},
                 {"unused_tensors", found.num_unused_tensors},
                 {"missing", found.report.missing},
                 {"misshaped", found.report.misshaped},
                 {"unexpected", found.report.unexpected}};
  report.update(found.architecture->describe().json);
  return report;
}

void inspect(const std::filesystem::path& folder, const CommandContext& context) {
  const ModelInspection found = inspect_model(folder);
  if (context.json) {
    context.print_json(json_report(found));
  } else {
    context.print(text_report(found));
  }
  if (const std::string problems = found.problems(); !problems.empty()) {
    throw FormatError(folder.native(), problems);
  }
}

}  // namespace

void register_inspect(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "inspect", "Say what a model folder holds and what it lacks",
      "e5v inspect models/e5-v\n"
      "e5v inspect models/e5-v --json\n"
      "\n"
      "Needs config.json only; no weight is loaded. Fails if loading the weights would.");
  auto folder = std::make_shared<std::filesystem::path>();
  command.add_argument("folder", *folder, "Model folder");
  command.require_argument("folder");
  command.set_callback([folder, &context] { inspect(*folder, context); });
}

}  // namespace e5v::detail
