#include "e5v/checkpoint/gguf.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/checkpoint/dtype.h"

namespace e5v::detail {
namespace {

constexpr uint64_t kMaxNameBytes = 65'535;
constexpr uint64_t kMaxTensors = 1'000'000, kMaxKeys = 1'000'000;
constexpr uint32_t kMaxDimensions = 4;
constexpr uint64_t kMaxAlignment = 1 << 20;

/// ggml's numbers of metadata's types.
enum ValueType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

/// Bytes of one value; 0 for what has no fixed size.
uint64_t value_bytes(uint32_t type) {
  constexpr std::array<uint64_t, 13> kBytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return type < kBytes.size() ? kBytes[type] : 0;
}

/// Reads the header from its beginning; every read is checked against the file's end.
class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> bytes, std::string path)
      : bytes_(bytes), path_(std::move(path)) {}

  [[noreturn]] void fail(const std::string& problem) const {
    throw FormatError(path_, fmt::format("at byte {}: {}", at_, problem));
  }

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  std::string text(uint64_t max_bytes) {
    const auto size = number<uint64_t>();
    if (size > max_bytes) {
      fail(fmt::format("a text of {} bytes, expected at most {}; is the file damaged?", size,
                       max_bytes));
    }
    const auto bytes = take(size);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  std::span<const std::byte> take(uint64_t size) {
    if (size > bytes_.size() - at_) {
      fail(
          fmt::format("the header goes on for {} bytes, but the file ends after {}; incomplete "
                      "download?",
                      size, bytes_.size() - at_));
    }
    const auto taken = bytes_.subspan(at_, size);
    at_ += size;
    return taken;
  }

  uint64_t position() const { return at_; }

 private:
  std::span<const std::byte> bytes_;
  std::string path_;
  uint64_t at_ = 0;
};

/// Passes an array by, whatever it holds. Arrays of arrays are refused: nobody writes them.
void skip_array(HeaderReader& reader) {
  const auto type = reader.number<uint32_t>();
  const auto count = reader.number<uint64_t>();
  if (type == kString) {
    for (uint64_t i = 0; i < count; ++i) reader.text(std::numeric_limits<uint32_t>::max());
    return;
  }
  const uint64_t size = value_bytes(type);
  if (size == 0) reader.fail(fmt::format("an array of values of type {}, expected 0 to 12", type));
  if (count > std::numeric_limits<uint64_t>::max() / size) {
    reader.fail(fmt::format("an array of {} values; is the file damaged?", count));
  }
  reader.take(count * size);
}

/// A number of metadata as int64, where it is an integer that fits.
std::optional<int64_t> read_integer(HeaderReader& reader, uint32_t type) {
  switch (type) {
    case kUint8:
    case kBool:
      return reader.number<uint8_t>();
    case kInt8:
      return reader.number<int8_t>();
    case kUint16:
      return reader.number<uint16_t>();
    case kInt16:
      return reader.number<int16_t>();
    case kUint32:
      return reader.number<uint32_t>();
    case kInt32:
      return reader.number<int32_t>();
    case kInt64:
      return reader.number<int64_t>();
    case kUint64: {
      const auto value = reader.number<uint64_t>();
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default:
      reader.take(value_bytes(type));
      return std::nullopt;
  }
}

GgufType read_type(HeaderReader& reader, const std::string& name) {
  const auto number = reader.number<uint32_t>();
  for (const GgufType type : {GgufType::kF32, GgufType::kF16, GgufType::kBF16, GgufType::kQ4_0,
                              GgufType::kQ8_0, GgufType::kQ4_K, GgufType::kQ6_K}) {
    if (static_cast<uint32_t>(type) == number) return type;
  }
  reader.fail(fmt::format(
      "tensor '{}' is of ggml's type {}, expected F32, F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K",
      printable(name), number));
}

GgufTensor read_tensor(HeaderReader& reader, const std::string& name) {
  const auto num_dimensions = reader.number<uint32_t>();
  if (num_dimensions > kMaxDimensions) {
    reader.fail(fmt::format("tensor '{}' has {} dimensions, expected at most {}", printable(name),
                            num_dimensions, kMaxDimensions));
  }
  GgufTensor tensor;
  for (uint32_t i = 0; i < num_dimensions; ++i) {
    const auto size = reader.number<uint64_t>();
    if (size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      reader.fail(fmt::format("tensor '{}' has a dimension of {}", printable(name), size));
    }
    tensor.shape.push_back(static_cast<int64_t>(size));
  }
  std::reverse(tensor.shape.begin(), tensor.shape.end());
  tensor.type = read_type(reader, name);
  tensor.begin = reader.number<uint64_t>();  // from where the data begin, until that is known
  const auto count = checked_num_elements(tensor.shape);
  const auto block = static_cast<uint64_t>(gguf_block_values(tensor.type));
  const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (!count || static_cast<uint64_t>(row) % block != 0 ||
      *count / block > std::numeric_limits<uint64_t>::max() / 256) {
    reader.fail(fmt::format("tensor '{}' has rows of {} values, expected a multiple of {} for {}",
                            printable(name), row, block, gguf_type_name(tensor.type)));
  }
  tensor.num_bytes = *count / block * static_cast<uint64_t>(gguf_block_bytes(tensor.type));
  return tensor;
}

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path) : file_(path) {
  const auto bytes = file_.bytes();
  HeaderReader reader(bytes, path.native());
  if (bytes.size() < 4 || std::memcmp(bytes.data(), "GGUF", 4) != 0) {
    throw FormatError(path.native(), "does not begin with 'GGUF', expected a file of llama.cpp's");
  }
  reader.take(4);
  const auto version = reader.number<uint32_t>();
  if (version != 2 && version != 3) {
    reader.fail(fmt::format("GGUF of version {}, expected 2 or 3, little-endian", version));
  }
  const auto num_tensors = reader.number<uint64_t>();
  const auto num_keys = reader.number<uint64_t>();
  if (num_tensors > kMaxTensors || num_keys > kMaxKeys) {
    reader.fail(
        fmt::format("{} tensors and {} keys, expected at most {} of each; is the file damaged?",
                    num_tensors, num_keys, kMaxTensors));
  }
  for (uint64_t i = 0; i < num_keys; ++i) {
    const std::string key = reader.text(kMaxNameBytes);
    const auto type = reader.number<uint32_t>();
    if (type == kString) {
      metadata_.insert_or_assign(key, reader.text(std::numeric_limits<uint32_t>::max()));
    } else if (type == kArray) {
      skip_array(reader);
    } else if (value_bytes(type) == 0) {
      reader.fail(fmt::format("'{}' is of type {}, expected 0 to 12", printable(key), type));
    } else if (const auto value = read_integer(reader, type)) {
      metadata_.insert_or_assign(key, *value);
    }
  }
  for (uint64_t i = 0; i < num_tensors; ++i) {
    const std::string name = reader.text(kMaxNameBytes);
    if (!tensors_.emplace(name, read_tensor(reader, name)).second) {
      reader.fail(fmt::format("tensor '{}' is there twice", printable(name)));
    }
  }
  const auto alignment = static_cast<uint64_t>(integer("general.alignment").value_or(32));
  if (alignment == 0 || alignment > kMaxAlignment) {
    reader.fail(fmt::format("an alignment of {}, expected 1 to {}", alignment, kMaxAlignment));
  }
  const uint64_t data_begin = (reader.position() + alignment - 1) / alignment * alignment;
  for (auto& [name, tensor] : tensors_) {
    const uint64_t size = bytes.size();
    const bool is_inside = data_begin <= size && tensor.begin <= size - data_begin &&
                           tensor.num_bytes <= size - data_begin - tensor.begin;
    if (!is_inside) {
      throw FormatError(path.native(),
                        fmt::format("tensor '{}' has {} bytes from {} on, but the file has {}; "
                                    "incomplete download?",
                                    printable(name), tensor.num_bytes, tensor.begin, size));
    }
    tensor.begin += data_begin;
  }
}

std::optional<std::string> GgufFile::text(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end() || !std::holds_alternative<std::string>(found->second)) return {};
  return std::get<std::string>(found->second);
}

std::optional<int64_t> GgufFile::integer(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end() || !std::holds_alternative<int64_t>(found->second)) return {};
  return std::get<int64_t>(found->second);
}

const GgufTensor* GgufFile::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::span<const std::byte> GgufFile::bytes(const GgufTensor& tensor) const {
  return file_.bytes().subspan(tensor.begin, tensor.num_bytes);
}

void GgufFile::release(const GgufTensor& tensor) const {
  file_.release(tensor.begin, tensor.num_bytes);
}

}  // namespace e5v::detail
