#include "e5v/model/stored_precision.h"

#include <system_error>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

constexpr const char* kMethod = "e5v";

}  // namespace

Json quantization_config(Precision precision) {
  return {{"quant_method", kMethod},
          {"precision", precision_name(precision)},
          {"version", layout_version(precision)}};
}

std::optional<Precision> stored_precision(const std::filesystem::path& model_dir) {
  const std::filesystem::path path = model_dir / "config.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;  // a file of tensors alone
  const Json config = read_json(path);
  if (!config.is_object() || !config.contains("quantization_config")) return std::nullopt;
  const Json& quantization = config["quantization_config"];
  if (quantization.is_null()) return std::nullopt;
  const auto text = [&](const char* name) {
    const bool has_text =
        quantization.is_object() && quantization.contains(name) && quantization[name].is_string();
    return has_text ? quantization[name].get<std::string>() : std::string();
  };
  if (text("quant_method") != kMethod) {
    throw ConfigError(fmt::format(
        "{}: the weights are quantised by '{}', expected floating-point weights or those of "
        "e5v quantize",
        path.native(), printable(text("quant_method"))));
  }
  const auto precision = find_precision(text("precision"));
  const auto refuse = [&](const std::string& expected) {
    throw FormatError(path.native(),
                      fmt::format("quantization_config is {}, expected {}; written by another e5v? "
                                  "e5v quantize makes it anew from the original weights",
                                  printable(quantization.dump(), 200), expected));
  };
  if (!precision || !is_quantized(*precision)) refuse("precision " + quantized_precision_names());
  const int version = layout_version(*precision);
  if (!quantization.contains("version") || quantization["version"] != version) {
    refuse(fmt::format("version {}", version));
  }
  return precision;
}

}  // namespace e5v::detail
