#include "e5v/checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/json.h"

namespace e5v::detail {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxDimensions = 64;

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

uint64_t read_header_length(std::span<const std::byte> file) {
  uint64_t length = 0;
  for (size_t i = kLengthBytes; i-- > 0;) length = length << 8 | std::to_integer<uint64_t>(file[i]);
  return length;
}

/// What a file that is no safetensors file probably is, as the end of a message.
std::string_view guess_other_format(std::string_view file) {
  if (file.starts_with("version https://git-lfs")) {
    return "; it is a Git LFS pointer, fetch the file itself with 'git lfs pull'";
  }
  if (file.starts_with("PK\x03\x04")) return "; it is a zip archive, a PyTorch .bin renamed?";
  if (file.starts_with("GGUF")) return "; it is a GGUF file";
  if (file.starts_with("<")) return "; it looks like a web page, a failed download?";
  return "";
}

/// Takes the header's JSON event by event, so that a repeated name is seen and nothing is built for
/// nesting that the format does not have.
class HeaderParser {
 public:
  HeaderParser(std::string_view source, SafetensorsHeader& header)
      : source_(source), header_(header) {}

  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("a boolean"); }
  bool number_float(double, const std::string& digits) { return unexpected(printable(digits, 30)); }
  bool number_integer(int64_t value) {
    if (value >= 0) return number_unsigned(static_cast<uint64_t>(value));
    return unexpected(fmt::format("{}", value));
  }
  bool number_unsigned(uint64_t value) {
    if (place_ == Place::kShape) {
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        fail_tensor(fmt::format("has a dimension of {}", value));
      }
      if (shape_->size() == kMaxDimensions) {
        fail_tensor(fmt::format("has more than {} dimensions", kMaxDimensions));
      }
      shape_->push_back(static_cast<int64_t>(value));
    } else if (place_ == Place::kOffsets) {
      if (num_offsets_ == 2) fail_tensor("has more than two data_offsets");
      offsets_[num_offsets_++] = value;
    } else {
      return unexpected(fmt::format("{}", value));
    }
    return true;
  }
  bool string(std::string& value) {
    if (place_ == Place::kMetadata) {
      header_.metadata[key_] = std::move(value);
    } else if (place_ == Place::kTensor && key_ == "dtype") {
      dtype_ = find_dtype(value);
      if (!dtype_) {
        fail_tensor(fmt::format("has dtype '{}', which is not supported", printable(value)));
      }
    } else {
      return unexpected(fmt::format("the string '{}'", printable(value)));
    }
    return true;
  }
  bool binary(Json::binary_t&) { return unexpected("binary"); }

  bool start_object(size_t) {
    if (place_ == Place::kBegin) {
      place_ = Place::kRoot;
    } else if (place_ == Place::kRoot && key_ == "__metadata__") {
      place_ = Place::kMetadata;
    } else if (place_ == Place::kRoot) {
      place_ = Place::kTensor;
      tensor_ = key_;
      dtype_.reset();
      shape_.reset();
      num_offsets_ = 0;
      has_offsets_ = false;
    } else {
      return unexpected("an object");
    }
    return true;
  }
  bool key(std::string& name) {
    if (place_ == Place::kRoot) {
      const bool repeated = name == "__metadata__" ? std::exchange(has_metadata_, true)
                                                   : header_.tensors.contains(name);
      if (repeated) fail(fmt::format("the header has '{}' twice", printable(name)));
    } else if (place_ == Place::kMetadata) {
      if (header_.metadata.contains(name)) {
        fail(fmt::format("__metadata__ has '{}' twice", printable(name)));
      }
    } else if (place_ == Place::kTensor) {
      const bool repeated = (name == "dtype" && dtype_) || (name == "shape" && shape_) ||
                            (name == "data_offsets" && has_offsets_);
      if (repeated) fail_tensor(fmt::format("has '{}' twice", name));
      // Not ignored as the reference does: a field that changes what the bytes mean (a scale, an
      // order) would give wrong values without a word.
      if (name != "dtype" && name != "shape" && name != "data_offsets") {
        fail_tensor(fmt::format("has an unknown field '{}'", printable(name)));
      }
    }
    key_ = std::move(name);
    return true;
  }
  bool end_object() {
    if (place_ == Place::kTensor) {
      add_tensor();
      place_ = Place::kRoot;
    } else {
      place_ = place_ == Place::kMetadata ? Place::kRoot : Place::kEnd;
    }
    return true;
  }
  bool start_array(size_t) {
    if (place_ != Place::kTensor || key_ == "dtype") return unexpected("an array");
    if (key_ == "shape") {
      place_ = Place::kShape;
      shape_.emplace();
    } else {
      place_ = Place::kOffsets;
      has_offsets_ = true;
    }
    return true;
  }
  bool end_array() {
    place_ = Place::kTensor;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
    fail(fmt::format("the header is not valid JSON at byte {}; corrupt file?",
                     kLengthBytes + (position == 0 ? 0 : position - 1)));
  }

 private:
  enum class Place { kBegin, kRoot, kMetadata, kTensor, kShape, kOffsets, kEnd };

  [[noreturn]] void fail(const std::string& problem) const { throw FormatError(source_, problem); }
  [[noreturn]] void fail_tensor(const std::string& problem) const {
    fail(fmt::format("tensor '{}' {}", printable(tensor_), problem));
  }

  bool unexpected(const std::string& met) const {
    switch (place_) {
      case Place::kBegin:
      case Place::kEnd:
        fail(fmt::format("the header is {}, expected an object", met));
      case Place::kRoot:
        fail(fmt::format("the header's '{}' is {}, expected an object", printable(key_), met));
      case Place::kMetadata:
        fail(fmt::format("__metadata__ '{}' is {}, expected a string", printable(key_), met));
      case Place::kTensor:
        fail_tensor(fmt::format("has {} as '{}', expected {}", met, key_,
                                key_ == "dtype" ? "a string" : "an array of integers"));
      case Place::kShape:
      case Place::kOffsets:
        fail_tensor(fmt::format("has {} in '{}', expected integers of at least 0", met, key_));
    }
    return false;
  }

  void add_tensor() {
    if (!dtype_) fail_tensor("has no dtype");
    if (!shape_) fail_tensor("has no shape");
    if (num_offsets_ != 2) fail_tensor("has no pair of data_offsets");
    const auto [begin, end] = offsets_;
    if (begin > end) {
      fail_tensor(fmt::format("has data_offsets [{}, {}] that run backwards", begin, end));
    }
    const std::optional<uint64_t> bytes = checked_tensor_bytes(*dtype_, *shape_);
    if (!bytes) {
      fail_tensor(
          fmt::format("is too large: {} [{}]", dtype_name(*dtype_), fmt::join(*shape_, ", ")));
    }
    if (end - begin != *bytes) {
      fail_tensor(fmt::format("occupies {} bytes but {} [{}] needs {}", end - begin,
                              dtype_name(*dtype_), fmt::join(*shape_, ", "), *bytes));
    }
    header_.names.push_back(tensor_);
    header_.tensors.emplace(tensor_, TensorInfo{*dtype_, *std::move(shape_), begin, end});
  }

  std::string_view source_;
  SafetensorsHeader& header_;
  Place place_ = Place::kBegin;
  std::string key_;  // the last key met, at any level
  bool has_metadata_ = false;
  // The tensor being read.
  std::string tensor_;
  std::optional<DType> dtype_;
  std::optional<std::vector<int64_t>> shape_;
  std::array<uint64_t, 2> offsets_;
  size_t num_offsets_ = 0;
  bool has_offsets_ = false;
};

/// Sorts the names by place and checks that the tensors cover `data_bytes` exactly.
void check_layout(SafetensorsHeader& header, uint64_t data_bytes, std::string_view source) {
  const auto info = [&](const std::string& name) -> const TensorInfo& {
    return header.tensors.find(name)->second;
  };
  std::stable_sort(
      header.names.begin(), header.names.end(), [&](const std::string& a, const std::string& b) {
        return std::pair(info(a).begin, info(a).end) < std::pair(info(b).begin, info(b).end);
      });
  uint64_t covered = 0;
  const std::string* previous = nullptr;
  for (const std::string& name : header.names) {
    const TensorInfo& tensor = info(name);
    if (tensor.end > data_bytes) {
      throw FormatError(source, fmt::format("tensor '{}' ends at byte {} but the file has {}; "
                                            "incomplete download?",
                                            printable(name), header.data_begin + tensor.end,
                                            header.data_begin + data_bytes));
    }
    if (tensor.begin < covered) {
      throw FormatError(
          source, fmt::format("tensors '{}' and '{}' overlap at byte {}", printable(*previous),
                              printable(name), header.data_begin + tensor.begin));
    }
    if (tensor.begin > covered) {
      throw FormatError(source, fmt::format("bytes {} to {} before tensor '{}' belong to no tensor",
                                            header.data_begin + covered,
                                            header.data_begin + tensor.begin, printable(name)));
    }
    covered = tensor.end;
    previous = &name;
  }
  if (covered != data_bytes) {
    throw FormatError(source, fmt::format("{} bytes after the last tensor belong to no tensor",
                                          data_bytes - covered));
  }
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                           std::string_view source) {
  if (file.size() < kLengthBytes) {
    throw FormatError(source, fmt::format("has {} bytes, too few for a safetensors file; "
                                          "incomplete download?",
                                          file.size()));
  }
  const uint64_t length = read_header_length(file);
  if (length > kMaxSafetensorsHeaderBytes) {
    throw FormatError(
        source, fmt::format("not a safetensors file: its header would have {} bytes, "
                            "expected at most {}{}",
                            length, kMaxSafetensorsHeaderBytes, guess_other_format(as_text(file))));
  }
  if (length > file.size() - kLengthBytes) {
    throw FormatError(source, fmt::format("the header ends at byte {} but the file has {}; "
                                          "incomplete download?",
                                          kLengthBytes + length, file.size()));
  }
  const std::string_view json = as_text(file.subspan(kLengthBytes, length));
  // Also keeps out the byte-order mark that the JSON parser would skip.
  if (!json.starts_with('{')) {
    throw FormatError(source, "not a safetensors file: its header does not begin with '{'");
  }
  SafetensorsHeader header;
  header.data_begin = kLengthBytes + length;
  HeaderParser parser(source, header);
  Json::sax_parse(json.begin(), json.end(), &parser);
  check_layout(header, file.size() - header.data_begin, source);
  return header;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(path), header_(parse_safetensors_header(file_.bytes(), path.native())) {}

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  const auto found = header_.tensors.find(name);
  return found == header_.tensors.end() ? nullptr : &found->second;
}

const TensorInfo& SafetensorsFile::at(std::string_view name) const {
  const TensorInfo* tensor = find(name);
  if (tensor == nullptr) {
    throw InputError(fmt::format("{} has no tensor '{}'", path().native(), printable(name)));
  }
  return *tensor;
}

std::span<const std::byte> SafetensorsFile::bytes(std::string_view name) const {
  const TensorInfo& tensor = at(name);
  return file_.bytes().subspan(header_.data_begin + tensor.begin, tensor.end - tensor.begin);
}

void SafetensorsFile::release(std::string_view name) const {
  const TensorInfo& tensor = at(name);
  file_.release(header_.data_begin + tensor.begin, tensor.end - tensor.begin);
}

}  // namespace e5v::detail
