#include "e5v/model/config_fields.h"

namespace e5v::detail {

void require_sizes(std::initializer_list<std::pair<const char*, int64_t>> sizes) {
  for (const auto& [name, value] : sizes) {
    if (value < 1 || value > kMaxConfigSize) {
      throw ConfigError(fmt::format("'{}' is {}, expected 1 to {}", name, value, kMaxConfigSize));
    }
  }
}

Json sub_config(const Json& json, const std::string& key) {
  return find_field<Json>(json, key).value_or(Json::object());
}

}  // namespace e5v::detail
