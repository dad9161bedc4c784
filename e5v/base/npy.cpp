#include "e5v/base/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

// The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kAlignment = 64;
constexpr size_t kMaxHeaderBytes = 1 << 16;
constexpr size_t kMaxDimensions = 32;  // NumPy's own limit
constexpr int64_t kWidestCount = std::numeric_limits<int64_t>::max();

struct TypeRow {
  NpyType type;
  std::string_view descr;
  std::string_view name;
  size_t bytes;
};

constexpr std::array<TypeRow, 6> kTypes = {{
    {NpyType::kFloat32, "<f4", "float32", 4},
    {NpyType::kFloat16, "<f2", "float16", 2},
    {NpyType::kInt8, "|i1", "int8", 1},
    {NpyType::kUint8, "|u1", "uint8", 1},
    {NpyType::kUint16, "<u2", "uint16", 2},
    {NpyType::kInt64, "<i8", "int64", 8},
}};

const TypeRow& row_of(NpyType type) { return kTypes[static_cast<size_t>(type)]; }

/// Magic, version 1.0, length and dictionary, padded so that the data begins at a multiple of 64.
std::string header(NpyType type, int64_t num_rows, const std::vector<int64_t>& row_shape,
                   size_t total_bytes) {
  std::string shape = fmt::format("{},", num_rows);
  for (const int64_t size : row_shape) shape += fmt::format(" {},", size);
  if (!row_shape.empty()) shape.pop_back();
  std::string dictionary = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                       row_of(type).descr, shape);
  const size_t before = kMagic.size() + 4;
  if (total_bytes == 0) {
    total_bytes = (before + dictionary.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  }
  dictionary.append(total_bytes - before - dictionary.size() - 1, ' ');
  dictionary += '\n';
  std::string all(kMagic);
  all += {1, 0, static_cast<char>(dictionary.size() & 0xff),
          static_cast<char>(dictionary.size() >> 8)};
  return all + dictionary;
}

/// Reads the header's dictionary, a Python literal of a fixed kind.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  void parse() {
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr") {
        descr = quoted();
      } else if (key == "fortran_order") {
        fortran_order = word() == "True";
      } else if (key == "shape") {
        shape = tuple();
      } else {
        fail(fmt::format("unknown key '{}'", printable(key)));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) fail("text after the dictionary");
    if (!descr || !fortran_order || !shape) fail("'descr', 'fortran_order' or 'shape' is missing");
  }

  std::optional<std::string_view> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<int64_t>> shape;

 private:
  [[noreturn]] void fail(std::string_view problem) const {
    throw FormatError(path_, fmt::format("npy header, byte {}: {}", at_, problem));
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("expected '{}'", c));
  }
  std::string_view quoted() {
    skip_space();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') fail("expected a quoted string");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("string without an end");
    const std::string_view value = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return value;
  }
  std::string_view word() {
    skip_space();
    for (const std::string_view known : {"True", "False"}) {
      if (text_.substr(at_).starts_with(known)) {
        at_ += known.size();
        return known;
      }
    }
    fail("expected True or False");
  }
  std::vector<int64_t> tuple() {
    std::vector<int64_t> sizes;
    expect('(');
    while (!accept(')')) {
      skip_space();
      int64_t size = 0;
      const char* begin = text_.data() + at_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), size);
      if (error != std::errc() || size < 0) fail("expected a size of at least 0");
      at_ += static_cast<size_t>(end - begin);
      sizes.push_back(size);
      if (sizes.size() > kMaxDimensions) fail("more than 32 dimensions");
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return sizes;
  }

  std::string_view text_;
  const std::string& path_;
  size_t at_ = 0;
};

/// The product of `shape`, or nullopt where it does not fit.
std::optional<int64_t> product(const std::vector<int64_t>& shape) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (count > kWidestCount / size) return std::nullopt;
    count *= size;
  }
  return count;
}

}  // namespace

size_t npy_item_bytes(NpyType type) { return row_of(type).bytes; }

std::string_view npy_type_name(NpyType type) { return row_of(type).name; }

NpyWriter::NpyWriter(const std::filesystem::path& path, NpyType type,
                     std::vector<int64_t> row_shape)
    : file_(path), type_(type), row_shape_(std::move(row_shape)) {
  row_bytes_ = npy_item_bytes(type);
  for (const int64_t size : row_shape_) row_bytes_ *= static_cast<size_t>(size);
  // Room for the longest count; commit writes the true one over it.
  file_.write(header(type_, kWidestCount, row_shape_, 0));
}

void NpyWriter::append(std::span<const std::byte> rows) {
  if (rows.empty()) return;
  E5V_ASSERT(row_bytes_ > 0 && rows.size() % row_bytes_ == 0);
  file_.write(rows);
  num_rows_ += static_cast<int64_t>(rows.size() / row_bytes_);
}

void NpyWriter::commit() {
  const size_t header_bytes = header(type_, kWidestCount, row_shape_, 0).size();
  file_.write_at(0, header(type_, num_rows_, row_shape_, header_bytes));
  file_.commit();
}

NpyArray::NpyArray(const std::filesystem::path& path) : file_(path) {
  const std::string& name = path.native();
  const std::string_view all(reinterpret_cast<const char*>(file_.bytes().data()),
                             file_.bytes().size());
  if (!all.starts_with(kMagic) || all.size() < kMagic.size() + 4) {
    throw FormatError(name, "not a .npy file: it does not begin with \\x93NUMPY");
  }
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(all[kMagic.size() + i]); };
  const int version = byte(0);
  if (version < 1 || version > 3) {
    throw FormatError(name, fmt::format("npy version {}, expected 1 to 3", version));
  }
  // Version 1 has a length of two bytes, the later ones of four.
  const size_t length_bytes = version == 1 ? 2 : 4;
  const size_t before = kMagic.size() + 2 + length_bytes;
  size_t length = 0;
  for (size_t i = 0; before <= all.size() && i < length_bytes; ++i) {
    length |= size_t{byte(2 + i)} << (8 * i);
  }
  if (before > all.size() || length > kMaxHeaderBytes || before + length > all.size()) {
    throw FormatError(name, fmt::format("npy header of {} bytes in a file of {}; truncated?",
                                        length, all.size()));
  }
  HeaderParser parser(all.substr(before, length), name);
  parser.parse();
  const auto found = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const TypeRow& row) { return row.descr == *parser.descr; });
  if (found == kTypes.end()) {
    throw FormatError(name, fmt::format("elements of type '{}', expected one of <f4, <f2, |i1, "
                                        "|u1, <u2, <i8",
                                        printable(*parser.descr)));
  }
  if (*parser.fortran_order && parser.shape->size() > 1) {
    throw FormatError(name, "an array in Fortran order, expected row-major (fortran_order False)");
  }
  type_ = found->type;
  shape_ = *std::move(parser.shape);
  data_offset_ = before + length;
  const size_t data_bytes = all.size() - data_offset_;
  const std::optional<int64_t> count = product(shape_);
  if (!count || static_cast<uint64_t>(*count) > data_bytes / found->bytes ||
      static_cast<uint64_t>(*count) * found->bytes != data_bytes) {
    throw FormatError(name, fmt::format("the shape ({}) of {} needs {} bytes but the file has {} "
                                        "after the header; truncated?",
                                        fmt::join(shape_, ", "), found->name,
                                        count ? fmt::format("{} x {}", *count, found->bytes)
                                              : std::string("too many"),
                                        data_bytes));
  }
}

int64_t NpyArray::num_elements() const { return *product(shape_); }

}  // namespace e5v::detail
