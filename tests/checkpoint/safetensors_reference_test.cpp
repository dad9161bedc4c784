// What the reference library wrote: tests/goldens/safetensors_reference/generate.py.

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/checkpoint/convert.h"
#include "e5v/checkpoint/safetensors.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

const std::filesystem::path kGoldens =
    std::filesystem::path(E5V_SOURCE_DIR) / "tests/goldens/safetensors_reference";

template <class T>
std::vector<double> values_of(std::span<const std::byte> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return {values.begin(), values.end()};
}

std::vector<double> values_of(DType dtype, std::span<const std::byte> bytes) {
  if (dtype == DType::F64) return values_of<double>(bytes);
  if (is_floating_point(dtype)) {
    std::vector<float> values(bytes.size() / dtype_bytes(dtype));
    convert_to_float32(dtype, bytes, values);
    return {values.begin(), values.end()};
  }
  switch (dtype) {
    case DType::I64:
      return values_of<int64_t>(bytes);
    case DType::I32:
      return values_of<int32_t>(bytes);
    case DType::I16:
      return values_of<int16_t>(bytes);
    case DType::I8:
      return values_of<int8_t>(bytes);
    case DType::U64:
      return values_of<uint64_t>(bytes);
    case DType::U32:
      return values_of<uint32_t>(bytes);
    case DType::U16:
      return values_of<uint16_t>(bytes);
    default:
      return values_of<uint8_t>(bytes);
  }
}

TEST(SafetensorsReferenceGolden, TensorsOfEveryTypeAreReadAsTheReferenceWroteThem) {
  const SafetensorsFile file(kGoldens / "every_dtype.safetensors");
  const Json golden = read_json(kGoldens / "golden.json");
  ASSERT_EQ(file.names().size(), golden["values"].size());
  for (const auto& [name, values] : golden["values"].items()) {
    const TensorInfo* tensor = file.find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(tensor->shape, golden["shapes"][name].get<std::vector<int64_t>>()) << name;
    EXPECT_EQ(values_of(tensor->dtype, file.bytes(name)), values.get<std::vector<double>>())
        << name;
  }
  EXPECT_EQ(Json(file.metadata()), golden["metadata"]);
}

TEST(SafetensorsReferenceGolden, WritingTheSameTensorsGivesTheSameBytes) {
  TemporaryFolder folder;
  const SafetensorsFile file(kGoldens / "every_dtype.safetensors");
  std::vector<TensorSpec> tensors;
  for (const std::string& name : file.names()) {
    tensors.push_back({name, file.find(name)->dtype, file.find(name)->shape});
  }
  SafetensorsWriter writer(folder / "again.safetensors", tensors, file.metadata());
  for (const std::string& name : file.names()) writer.write(name, file.bytes(name));
  writer.commit();
  EXPECT_TRUE(read_file(folder / "again.safetensors") == read_file(file.path()));
}

std::vector<uint32_t> bits_of_floats(std::span<const std::byte> bytes) {
  std::vector<uint32_t> bits(bytes.size() / sizeof(uint32_t));
  std::memcpy(bits.data(), bytes.data(), bytes.size());
  return bits;
}

TEST(SafetensorsReferenceGolden, ConversionsToFloat32AreTorchs) {
  const SafetensorsFile file(kGoldens / "conversions.safetensors");
  for (const std::string name : {"F64", "F16", "BF16", "F8_E4M3", "F8_E5M2"}) {
    const std::vector<uint32_t> expected = bits_of_floats(file.bytes(name + ".float32"));
    std::vector<float> converted(expected.size());
    const TensorInfo& stored = *file.find(name + ".stored");
    ASSERT_EQ(dtype_name(stored.dtype), name);
    convert_to_float32(stored.dtype, file.bytes(name + ".stored"), converted);
    for (size_t i = 0; i < expected.size(); ++i) {
      if (std::isnan(std::bit_cast<float>(expected[i]))) {
        EXPECT_TRUE(std::isnan(converted[i])) << name << " " << i;
      } else {
        EXPECT_EQ(std::bit_cast<uint32_t>(converted[i]), expected[i]) << name << " " << i;
      }
    }
  }
}

TEST(SafetensorsReferenceGolden, RoundingToHalfPrecisionIsTorchs) {
  const SafetensorsFile file(kGoldens / "conversions.safetensors");
  std::vector<float> values(file.find("rounding.float32")->shape[0]);
  convert_to_float32(DType::F32, file.bytes("rounding.float32"), values);
  for (const DType dtype : {DType::F16, DType::BF16}) {
    const std::string name = fmt::format("rounding.{}", dtype_name(dtype));
    std::vector<std::byte> rounded(2 * values.size());
    convert_from_float32(dtype, values, rounded);
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i])) continue;  // which NaN it becomes is nobody's business
      EXPECT_EQ(std::memcmp(&rounded[2 * i], &file.bytes(name)[2 * i], 2), 0)
          << name << " of " << values[i];
    }
  }
}

}  // namespace
}  // namespace e5v::detail
