#include "e5v/text/config_node.h"

namespace e5v::detail {
namespace {

const Json kNull = nullptr;

/// What a message says that a value is.
std::string kind_of(const Json& value) {
  return value.is_null() ? "is missing" : fmt::format("is {}", value.type_name());
}

}  // namespace

ConfigNode::ConfigNode(const Json& value, std::string_view source, std::string path)
    : value_(&value), source_(source), path_(std::move(path)) {}

std::string ConfigNode::child_path(const std::string& key) const {
  return path_.empty() ? key : path_ + "." + key;
}

bool ConfigNode::has(const std::string& key) const { return !at(key).is_null(); }

ConfigNode ConfigNode::at(const std::string& key) const {
  if (!value_->is_object()) {
    fail(kind_of(*value_) + ", expected an object");
  }
  const auto found = value_->find(key);
  return ConfigNode(found == value_->end() ? kNull : *found, source_, child_path(key));
}

std::string ConfigNode::string(const std::string& key) const { return at(key).as_string(); }

std::string ConfigNode::string_or(const std::string& key, std::string fallback) const {
  const ConfigNode node = at(key);
  return node.is_null() ? fallback : node.as_string();
}

bool ConfigNode::boolean_or(const std::string& key, bool fallback) const {
  const ConfigNode node = at(key);
  if (node.is_null()) return fallback;
  if (!node.value_->is_boolean()) {
    node.fail(kind_of(*node.value_) + ", expected true or false");
  }
  return node.value_->get<bool>();
}

uint32_t ConfigNode::count(const std::string& key, uint32_t max) const {
  return at(key).as_count(max);
}

std::vector<ConfigNode> ConfigNode::items(const std::string& key) const { return at(key).items(); }

std::vector<ConfigNode> ConfigNode::items() const {
  if (!value_->is_array()) fail(kind_of(*value_) + ", expected an array");
  std::vector<ConfigNode> nodes;
  nodes.reserve(value_->size());
  for (const Json& item : *value_) {
    nodes.emplace_back(item, source_, fmt::format("{}[{}]", path_, nodes.size()));
  }
  return nodes;
}

std::string ConfigNode::as_string() const {
  if (!value_->is_string()) fail(kind_of(*value_) + ", expected a string");
  return value_->get<std::string>();
}

uint32_t ConfigNode::as_count(uint32_t max) const {
  if (!value_->is_number_unsigned() || value_->get<uint64_t>() > max) {
    const std::string met = value_->is_number() ? "is " + value_->dump() : kind_of(*value_);
    fail(fmt::format("{}, expected a whole number from 0 to {}", met, max));
  }
  return static_cast<uint32_t>(value_->get<uint64_t>());
}

std::vector<std::string> ConfigNode::keys() const {
  if (!value_->is_object()) fail(kind_of(*value_) + ", expected an object");
  std::vector<std::string> result;
  for (const auto& [key, value] : value_->items()) result.push_back(key);
  return result;
}

void ConfigNode::fail(std::string_view problem) const {
  throw FormatError(source_, fmt::format("{}: {}", path_.empty() ? "top level" : path_, problem));
}

void ConfigNode::fail_unsupported(std::string_view kind) const {
  fail(fmt::format("{} of type '{}' is not supported", kind, printable(string_or("type", ""))));
}

}  // namespace e5v::detail
