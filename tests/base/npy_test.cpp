#include "e5v/base/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "e5v/base/error.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// A version 1.0 file of `dictionary` (padded as NumPy pads) and `data`.
std::string npy(std::string dictionary, const std::string& data) {
  dictionary.append((64 - (10 + dictionary.size() + 1) % 64) % 64, ' ');
  dictionary += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(dictionary.size() & 0xff);
  file += static_cast<char>(dictionary.size() >> 8);
  return file + dictionary + data;
}

class NpyTest : public ::testing::Test {
 protected:
  std::filesystem::path file(const std::string& content) {
    write_file(dir_ / "a.npy", content);
    return dir_ / "a.npy";
  }
  TemporaryFolder dir_;
};

TEST_F(NpyTest, WritesTheBytesThatNumPyWrites) {
  NpyWriter writer(dir_ / "a.npy", NpyType::kFloat32, {3});
  const std::vector<float> rows = {1, 2, 3, -1, 0.5, 0};
  writer.append<float>(std::span(rows).first(3));
  writer.append<float>(std::span(rows).last(3));
  writer.commit();
  std::string data(24, '\0');
  std::memcpy(data.data(), rows.data(), 24);
  // numpy.save pads to 128 as well: room for the widest count is left by both.
  EXPECT_EQ(read_file(dir_ / "a.npy"),
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", data));
}

TEST_F(NpyTest, RoundTripsEveryTypeAndShape) {
  for (const NpyType type : {NpyType::kFloat32, NpyType::kFloat16, NpyType::kInt8, NpyType::kUint8,
                             NpyType::kUint16, NpyType::kInt64}) {
    NpyWriter writer(dir_ / "a.npy", type, {3, 2, 2});
    std::vector<uint8_t> rows(5 * 12 * npy_item_bytes(type));
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<uint8_t>(i * 7);
    writer.append<uint8_t>(rows);
    EXPECT_EQ(writer.num_rows(), 5);
    writer.commit();
    const NpyArray array(dir_ / "a.npy");
    EXPECT_EQ(array.type(), type);
    EXPECT_THAT(array.shape(), ElementsAre(5, 3, 2, 2));
    EXPECT_EQ(array.num_elements(), 60);
    ASSERT_EQ(array.bytes().size(), rows.size()) << npy_type_name(type);
    EXPECT_EQ(std::memcmp(array.bytes().data(), rows.data(), rows.size()), 0);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(array.bytes().data()) % 64, 0U);
  }
}

TEST_F(NpyTest, AnArrayWithoutRowsIsAnArray) {
  NpyWriter writer(dir_ / "a.npy", NpyType::kInt8, {4096});
  writer.append(std::span<const std::byte>());
  writer.commit();
  EXPECT_THAT(NpyArray(dir_ / "a.npy").shape(), ElementsAre(0, 4096));
}

TEST_F(NpyTest, ReadsVersionsTwoAndThreeAndOtherSpacing) {
  const std::string dictionary = "{\"shape\":(2,),'fortran_order':False,'descr':'|u1'}\n";
  std::string content("\x93NUMPY\x02\x00", 8);
  content += static_cast<char>(dictionary.size());
  content += std::string(3, '\0') + dictionary + "ab";
  EXPECT_THAT(NpyArray(file(content)).shape(), ElementsAre(2));
  content[6] = 3;
  EXPECT_EQ(NpyArray(file(content)).bytes().size(), 2U);
  // Without dimensions: one value. Fortran order of one dimension is row-major too.
  EXPECT_EQ(NpyArray(file(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "1234")))
                .num_elements(),
            1);
  EXPECT_NO_THROW(
      NpyArray(file(npy("{'descr': '<u2', 'fortran_order': True, 'shape': (2,), }", "1234"))));
}

TEST_F(NpyTest, RefusesMalformedFilesWithTheirReason) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "not a .npy file"},
      {"\x93NUMPX", "not a .npy file"},
      {std::string("\x93NUMPY\x01\x00\xff", 9), "not a .npy file"},
      {std::string("\x93NUMPY\x01\x00\xff\xff", 10), "truncated"},
      {std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12), "truncated"},
      {std::string("\x93NUMPY\x02\x00\x01\x00", 10), "truncated"},
      {std::string("\x93NUMPY\x09\x00\x01\x00 ", 11), "version 9"},
      {npy("", ""), "expected '{'"},
      {npy("{", ""), "expected a quoted string"},
      {npy("{'descr", ""), "string without an end"},
      {npy("{'descr': ", ""), "expected a quoted string"},
      {npy("{'descr': [('a', '<f4')], ", ""), "expected a quoted string"},
      {npy("{'descr': '<f4'}", ""), "is missing"},
      {npy("{'colour': 'red'}", ""), "unknown key 'colour'"},
      {npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "1234"), "type '>f4'"},
      {npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "1234"), "type '|O'"},
      {npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }", "1234"), "Fortran"},
      {npy("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1, 1), }", "1234"), "True or False"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "1234"), "at least 0"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", ""),
       "at least 0"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", ""),
       "too many"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,), }", ""),
       "truncated"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "1234567"), "truncated"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "123456789"),
       "9 after the header"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", "1234"),
       "after the dictionary"},
  };
  for (const auto& [bad, reason] : cases) {
    const std::string& content = bad;  // a lambda may not capture a binding
    EXPECT_THAT([&] { NpyArray array(file(content)); },
                ThrowsMessage<FormatError>(AllOf(HasSubstr("a.npy: "), HasSubstr(reason))))
        << reason;
  }
  std::string ones;
  for (int i = 0; i < 33; ++i) ones += "1,";
  EXPECT_THAT([&] { NpyArray array(file(npy("{'shape': (" + ones + ")}", ""))); },
              ThrowsMessage<FormatError>(HasSubstr("32 dimensions")));
}

TEST_F(NpyTest, NoPrefixOfAFileIsAFile) {
  const std::string whole =
      npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "12345678");
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(NpyArray(file(whole.substr(0, size))), FormatError) << size;
  }
}

TEST_F(NpyTest, AWriterThatIsNotCommittedLeavesNothing) {
  { NpyWriter(dir_ / "b.npy", NpyType::kInt8, {1}); }
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

}  // namespace
}  // namespace e5v::detail
