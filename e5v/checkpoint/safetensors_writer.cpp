#include <set>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/json.h"
#include "e5v/base/utf8.h"
#include "e5v/checkpoint/safetensors.h"

namespace e5v::detail {
namespace {

uint64_t bytes_of(const TensorSpec& tensor) {
  return checked_tensor_bytes(tensor.dtype, tensor.shape).value();
}

std::string quoted(const std::string& text) {
  if (find_invalid_utf8(text) != std::string_view::npos) {
    throw InputError(
        fmt::format("'{}' is not UTF-8 and cannot stand in a safetensors header", printable(text)));
  }
  return Json(text).dump();
}

/// The header with its length before it, padded with spaces to a multiple of 8 as in the reference.
std::string make_header(const std::vector<TensorSpec>& tensors,
                        const std::map<std::string, std::string, std::less<>>& metadata) {
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      json += fmt::format("{}{}:{}", json.back() == '{' ? "" : ",", quoted(key), quoted(value));
    }
    json += "}";
  }
  std::set<std::string_view> names = {"__metadata__"};
  uint64_t begin = 0;
  for (const TensorSpec& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      throw InputError(fmt::format("tensor name '{}' is {}", printable(tensor.name),
                                   tensor.name == "__metadata__" ? "reserved" : "repeated"));
    }
    const std::optional<uint64_t> bytes = checked_tensor_bytes(tensor.dtype, tensor.shape);
    if (!bytes || *bytes > UINT64_MAX - begin) {
      throw InputError(fmt::format("tensor '{}' has an impossible shape [{}]",
                                   printable(tensor.name), fmt::join(tensor.shape, ", ")));
    }
    json += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                        json.size() == 1 ? "" : ",", quoted(tensor.name), dtype_name(tensor.dtype),
                        fmt::join(tensor.shape, ","), begin, begin + *bytes);
    begin += *bytes;
  }
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  if (json.size() > kMaxSafetensorsHeaderBytes) {
    throw InputError(fmt::format("a safetensors header of {} bytes exceeds the limit of {}",
                                 json.size(), kMaxSafetensorsHeaderBytes));
  }
  std::string header;
  for (uint64_t i = 0; i < 8; ++i) {
    header.push_back(static_cast<char>(static_cast<uint64_t>(json.size()) >> (8 * i)));
  }
  return header + json;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(
    const std::filesystem::path& path, std::vector<TensorSpec> tensors,
    const std::map<std::string, std::string, std::less<>>& metadata)
    : path_(path), tensors_(std::move(tensors)), file_(path) {
  file_.write(make_header(tensors_, metadata));
  skip_complete_tensors();
}

void SafetensorsWriter::skip_complete_tensors() {
  while (current_ < tensors_.size() && current_bytes_ == bytes_of(tensors_[current_])) {
    ++current_;
    current_bytes_ = 0;
  }
}

void SafetensorsWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (current_ == tensors_.size() || tensors_[current_].name != name) {
    throw InputError(fmt::format(
        "{}: cannot write tensor '{}' now, expected {}", path_.native(), printable(name),
        current_ == tensors_.size() ? "nothing more"
                                    : fmt::format("'{}'", printable(tensors_[current_].name))));
  }
  const uint64_t total = bytes_of(tensors_[current_]);
  if (bytes.size() > total - current_bytes_) {
    throw InputError(fmt::format("{}: tensor '{}' has {} bytes, got at least {}", path_.native(),
                                 printable(name), total, current_bytes_ + bytes.size()));
  }
  file_.write(bytes);
  current_bytes_ += bytes.size();
  skip_complete_tensors();
}

void SafetensorsWriter::check_complete() const {
  if (complete()) return;
  throw InputError(fmt::format("{}: tensor '{}' is incomplete: {} of {} bytes were written",
                               path_.native(), printable(tensors_[current_].name), current_bytes_,
                               bytes_of(tensors_[current_])));
}

void SafetensorsWriter::commit() {
  check_complete();
  file_.commit();
}

}  // namespace e5v::detail
