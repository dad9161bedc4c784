#include "e5v/families/registry.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "e5v/families/llava_architecture.h"
#include "e5v/families/qwen3_vl_architecture.h"
#include "e5v/model/config_fields.h"

namespace e5v::detail {

const std::vector<Family>& families() {
  static const std::vector<Family> all = {
      {{"llava_next", "llava"}, &LlavaArchitecture::from_json},
      {{"qwen3_vl"}, &Qwen3VlArchitecture::from_json},
  };
  return all;
}

std::shared_ptr<const Architecture> architecture_from_json(const Json& config) {
  const auto model_type = require_field<std::string>(config, "model_type");
  std::vector<std::string> known;
  for (const Family& family : families()) {
    const auto& types = family.model_types;
    if (std::find(types.begin(), types.end(), model_type) != types.end()) {
      return family.from_json(config);
    }
    known.insert(known.end(), types.begin(), types.end());
  }
  throw ConfigError(fmt::format("model_type '{}' is not supported, expected {}",
                                printable(model_type), fmt::join(known, " or ")));
}

std::shared_ptr<const Architecture> load_architecture(const std::filesystem::path& model_dir) {
  return read_config(model_dir, &architecture_from_json);
}

}  // namespace e5v::detail
