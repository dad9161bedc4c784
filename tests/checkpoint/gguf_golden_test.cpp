// What the Python package gguf wrote and read: tests/goldens/gguf/generate.py.

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/random.h"
#include "e5v/checkpoint/gguf.h"
#include "e5v/checkpoint/safetensors.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path kGoldens = std::filesystem::path(E5V_SOURCE_DIR) / "tests/goldens/gguf";

TEST(GgufGoldenTest, EveryTypeIsReadAsTheReferenceReadsIt) {
  const GgufFile file(kGoldens / "every_type.gguf");
  const SafetensorsFile expected(kGoldens / "expected.safetensors");
  EXPECT_EQ(file.tensors().size(), expected.names().size());
  for (const auto& [name, tensor] : file.tensors()) {
    const TensorInfo* info = expected.find(name);
    ASSERT_NE(info, nullptr) << name;
    EXPECT_EQ(tensor.shape, info->shape) << name;
    std::vector<float> values(expected.bytes(name).size() / sizeof(float)), got(values.size());
    std::memcpy(values.data(), expected.bytes(name).data(), expected.bytes(name).size());
    dequantize_gguf(tensor.type, file.bytes(tensor), got);
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(got[i], values[i], 1e-6 * std::abs(values[i]) + 1e-7) << name << " at " << i;
    }
  }
}

TEST(GgufGoldenTest, MetadataOfEveryKindIsReadOrPassedBy) {
  const GgufFile file(kGoldens / "every_type.gguf");
  EXPECT_EQ(file.text("general.architecture"), "llama");
  EXPECT_EQ(file.text("s"), "words, with ünïcödé");
  EXPECT_EQ(file.integer("n.u8"), 200);
  EXPECT_EQ(file.integer("n.i8"), -100);
  EXPECT_EQ(file.integer("n.u16"), 60000);
  EXPECT_EQ(file.integer("n.i16"), -30000);
  EXPECT_EQ(file.integer("n.u32"), 4000000000);
  EXPECT_EQ(file.integer("n.i32"), -2000000000);
  EXPECT_EQ(file.integer("n.u64"), int64_t{1} << 62);
  EXPECT_EQ(file.integer("n.i64"), -(int64_t{1} << 62));
  EXPECT_EQ(file.integer("n.bool"), 1);
  for (const char* key : {"n.f32", "n.f64", "a.numbers", "a.strings", "s", "nothing"}) {
    EXPECT_EQ(file.integer(key), std::nullopt) << key;
  }
}

/// The file's bytes, to be damaged.
class DamagedGgufGoldenTest : public ::testing::Test {
 protected:
  std::string message_of(const std::string& bytes) const {
    const auto path = folder_ / "damaged.gguf";
    write_file(path, bytes);
    try {
      const GgufFile file(path);
      // What is accepted must be readable to the last byte.
      for (const auto& [name, tensor] : file.tensors()) {
        std::vector<float> values(tensor.num_bytes / gguf_block_bytes(tensor.type) *
                                  gguf_block_values(tensor.type));
        dequantize_gguf(tensor.type, file.bytes(tensor), values);
      }
    } catch (const FormatError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "";
  }

  const std::string good_ = read_file(kGoldens / "every_type.gguf");
  const TemporaryFolder folder_;
};

TEST_F(DamagedGgufGoldenTest, EndsAnywhereWithALine) {
  ASSERT_EQ(message_of(good_), "");
  const GgufFile file(kGoldens / "every_type.gguf");
  uint64_t end = 0;  // what follows is padding
  for (const auto& [name, tensor] : file.tensors()) {
    end = std::max(end, tensor.begin + tensor.num_bytes);
  }
  for (size_t size = 0; size < end; size += 7) {
    EXPECT_NE(message_of(good_.substr(0, size)), "") << size;
  }
}

TEST_F(DamagedGgufGoldenTest, BytesThatAreChangedAreNoDanger) {
  SplitMix64 random(3);
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = good_;
    for (int changes = 1 + i % 3; changes > 0; --changes) {
      bytes[random.below(1200)] = static_cast<char>(random.next());
    }
    message_of(bytes);
  }
}

TEST_F(DamagedGgufGoldenTest, SaysWhatIsWrong) {
  EXPECT_THAT(message_of("GIF89a"), HasSubstr("does not begin with 'GGUF'"));
  std::string bytes = good_;
  bytes[4] = 9;
  EXPECT_THAT(message_of(bytes), HasSubstr("version 9, expected 2 or 3"));
  bytes = good_;
  bytes[15] = '\x7f';
  EXPECT_THAT(message_of(bytes), HasSubstr("is the file damaged?"));
  bytes = good_;
  const std::string name = "q6_k";
  bytes[bytes.find(name) + name.size() + 4 + 16] = 13;  // after the number and two dimensions
  EXPECT_THAT(message_of(bytes), HasSubstr("tensor 'q6_k' is of ggml's type 13, expected F32"));
}

}  // namespace
}  // namespace e5v::detail
