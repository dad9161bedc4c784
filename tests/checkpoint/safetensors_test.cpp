#include "e5v/checkpoint/safetensors.h"

#include <gmock/gmock.h>

#include <functional>
#include <string>

#include "e5v/base/error.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string as_string(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string with_length(uint64_t length, const std::string& rest) {
  std::string file;
  for (int i = 0; i < 8; ++i) file.push_back(static_cast<char>(length >> (8 * i)));
  return file + rest;
}

std::string file_of(const std::string& header, const std::string& data = "") {
  return with_length(header.size(), header + data);
}

/// One tensor's JSON entry.
std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return '"' + name + R"(":{"dtype":")" + dtype + R"(","shape":[)" + shape +
         R"(],"data_offsets":[)" + offsets + "]}";
}

SafetensorsHeader parse(const std::string& file) {
  return parse_safetensors_header(as_bytes(file), "weights.safetensors");
}

std::string error_of(const std::string& file) {
  try {
    parse(file);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "no FormatError";
}

std::string header_error(const std::string& header, size_t data_bytes = 0) {
  return error_of(file_of(header, std::string(data_bytes, 'x')));
}

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirData) {
  const SafetensorsHeader header =
      parse(file_of("{" + entry("second", "U8", "3", "8,11") + "," +
                        entry("first", "F32", "1,2", "0,8") + R"(,"__metadata__":{"a":"b"}})",
                    "01234567abc"));
  EXPECT_THAT(header.names, ElementsAre("first", "second"));
  EXPECT_THAT(header.metadata, ElementsAre(Pair("a", "b")));
  const TensorInfo& first = header.tensors.at("first");
  EXPECT_EQ(first.dtype, DType::F32);
  EXPECT_THAT(first.shape, ElementsAre(1, 2));
  EXPECT_EQ(first.begin, 0u);
  EXPECT_EQ(first.end, 8u);
}

TEST(Safetensors, AHeaderWithoutTensorsIsAFile) {
  EXPECT_THAT(parse(file_of("{}")).names, IsEmpty());
  EXPECT_THAT(parse(file_of(R"({"__metadata__":{}}   )")).names, IsEmpty());
}

TEST(Safetensors, EmptyAndZeroDimensionalTensorsAreTensors) {
  const SafetensorsHeader header = parse(file_of("{" + entry("none", "F32", "0,7", "0,0") + "," +
                                                     entry("scalar", "F64", "", "0,8") + "," +
                                                     entry("end", "I8", "0", "8,8") + "}",
                                                 "12345678"));
  EXPECT_THAT(header.names, ElementsAre("none", "scalar", "end"));
  EXPECT_THAT(header.tensors.at("scalar").shape, IsEmpty());
}

TEST(Safetensors, MisalignedDataIsRead) {
  TemporaryFolder folder;
  const std::string header =
      "{" + entry("a", "U8", "1", "0,1") + "," + entry("b", "F32", "1", "1,5") + "} ";
  write_file(folder / "odd.safetensors", file_of(header, "zABCD"));
  const SafetensorsFile file(folder / "odd.safetensors");
  EXPECT_EQ(as_string(file.bytes("b")), "ABCD");
  file.release("b");
  EXPECT_EQ(as_string(file.bytes("b")), "ABCD");
  EXPECT_EQ(file.find("c"), nullptr);
  EXPECT_THROW(file.bytes("c"), InputError);
  EXPECT_THROW(file.release("c"), InputError);
}

TEST(Safetensors, EveryTruncationOfAFileIsRefused) {
  const std::string file = file_of("{" + entry("a", "F16", "2,2", "0,8") + "}", "01234567");
  parse(file);
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_THAT(error_of(file.substr(0, size)), HasSubstr("incomplete download?")) << size;
  }
}

TEST(Safetensors, EveryDamagedByteOfAHeaderIsReadOrRefused) {
  const std::string file =
      file_of("{" + entry("a", "F16", "2,2", "0,8") + R"(,"__metadata__":{"k":"v"}})", "01234567");
  const size_t header_end = file.size() - 8;
  for (size_t at = 0; at < header_end; ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(value);
      try {
        parse(damaged);
      } catch (const FormatError&) {
      }
    }
  }
}

TEST(Safetensors, AHugeHeaderLengthIsRefusedBeforeItIsRead) {
  EXPECT_THAT(error_of(with_length(UINT64_MAX, "{}")), HasSubstr("18446744073709551615 bytes"));
  EXPECT_THAT(error_of(with_length(kMaxSafetensorsHeaderBytes + 1, "{}")),
              HasSubstr("expected at most 100000000"));
  EXPECT_THAT(error_of(with_length(kMaxSafetensorsHeaderBytes, "{}")),
              HasSubstr("header ends at byte 100000008 but the file has 10"));
}

TEST(Safetensors, OtherKindsOfFilesAreRecognised) {
  EXPECT_THAT(error_of("version https://git-lfs.github.com/spec/v1\n"), HasSubstr("git lfs pull"));
  EXPECT_THAT(error_of("PK\x03\x04 and more bytes"), HasSubstr("zip archive"));
  EXPECT_THAT(error_of("GGUF and more bytes"), HasSubstr("GGUF"));
  EXPECT_THAT(error_of("<!DOCTYPE html><html>"), HasSubstr("web page"));
}

TEST(Safetensors, AHeaderThatIsNoJsonObjectIsRefused) {
  EXPECT_THAT(header_error("not JSON"), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(header_error(""), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(header_error("[1, 2]"), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(header_error("\xef\xbb\xbf{}"), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(header_error("{\"a\": }"), HasSubstr("not valid JSON at byte 14"));
  EXPECT_THAT(header_error("{} {}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(header_error("{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(header_error("{\"\xff\":{}}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(header_error(std::string("{\0}", 3)), HasSubstr("not valid JSON"));
}

TEST(Safetensors, DeepNestingIsRefusedWithoutRecursion) {
  for (const std::string open : {"[", R"({"a":)"}) {
    std::string nested;
    for (int i = 0; i < 10000; ++i) nested += open;
    EXPECT_THAT(header_error("{\"a\":" + nested), HasSubstr("weights.safetensors: "));
    EXPECT_THAT(header_error(R"({"a":{"shape":)" + nested), HasSubstr("tensor 'a' has"));
    EXPECT_THAT(header_error(R"({"__metadata__":{"a":)" + nested), HasSubstr("expected a string"));
  }
}

TEST(Safetensors, EveryBrokenRuleOfTheLayoutHasItsOwnMessage) {
  const auto pair = [](const std::string& a, const std::string& b) {
    return "{" + entry("a", "U8", "8", a) + "," + entry("b", "U8", "8", b) + "}";
  };
  EXPECT_THAT(header_error(pair("0,8", "4,12"), 16),
              HasSubstr("tensors 'a' and 'b' overlap at byte "));
  EXPECT_THAT(header_error(pair("0,8", "0,8"), 16), HasSubstr("overlap"));
  EXPECT_THAT(header_error(pair("8,16", "17,25"), 25),
              HasSubstr("before tensor 'a' belong to no tensor"));
  EXPECT_THAT(header_error(pair("0,8", "9,17"), 17),
              HasSubstr("before tensor 'b' belong to no tensor"));
  EXPECT_THAT(header_error(pair("0,8", "8,16"), 19),
              HasSubstr("3 bytes after the last tensor belong to no tensor"));
  EXPECT_THAT(header_error(pair("0,8", "8,16"), 15), HasSubstr("tensor 'b' ends at byte "));
  EXPECT_THAT(header_error("{" + entry("a", "U8", "8", "8,0") + "}", 8),
              HasSubstr("tensor 'a' has data_offsets [8, 0] that run backwards"));
  EXPECT_THAT(header_error("{" + entry("a", "U8", "8", "-8,0") + "}", 8),
              HasSubstr("has -8 in 'data_offsets', expected integers of at least 0"));
  EXPECT_THAT(header_error("{" + entry("a", "U8", "-8", "0,8") + "}", 8),
              HasSubstr("has -8 in 'shape', expected integers of at least 0"));
  EXPECT_THAT(header_error("{" + entry("a", "U8", "8.0", "0,8") + "}", 8), HasSubstr("has 8.0 in"));
  EXPECT_THAT(header_error("{" + entry("a", "U8", "8", "0,18446744073709551616") + "}", 8),
              HasSubstr("has 18446744073709551616 in 'data_offsets'"));
  EXPECT_THAT(
      header_error("{" + entry("a", "U8", "8", "18446744073709551608,18446744073709551615") + "}",
                   8),
      HasSubstr("tensor 'a' occupies 7 bytes but U8 [8] needs 8"));
  EXPECT_THAT(
      header_error("{" + entry("a", "U8", "7", "18446744073709551608,18446744073709551615") + "}",
                   8),
      HasSubstr("tensor 'a' ends at byte "));
  EXPECT_THAT(header_error("{" + entry("a", "F32", "2,3", "0,8") + "}", 8),
              HasSubstr("tensor 'a' occupies 8 bytes but F32 [2, 3] needs 24"));
  EXPECT_THAT(header_error("{" + entry("a", "F32", "4294967296,4294967296", "0,8") + "}", 8),
              HasSubstr("tensor 'a' is too large: F32 [4294967296, 4294967296]"));
  EXPECT_THAT(header_error("{" + entry("a", "U8", "9223372036854775808,0", "0,0") + "}"),
              HasSubstr("has a dimension of 9223372036854775808"));
  EXPECT_THAT(header_error("{" + entry("a", "F4", "8", "0,4") + "}", 4),
              HasSubstr("tensor 'a' has dtype 'F4', which is not supported"));
  EXPECT_THAT(header_error("{" + entry("a", "U8", "8", "0") + "}", 8),
              HasSubstr("has no pair of data_offsets"));
  EXPECT_THAT(header_error("{" + entry("a", "U8", "8", "0,8,8") + "}", 8),
              HasSubstr("more than two data_offsets"));
  std::string ones = "1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  EXPECT_THAT(header_error("{" + entry("a", "U8", ones, "0,1") + "}", 1),
              HasSubstr("more than 64 dimensions"));
}

TEST(Safetensors, NamesMayNotBeRepeated) {
  const std::string a = entry("a", "U8", "1", "0,1");
  EXPECT_THAT(header_error("{" + a + "," + a + "}", 1), HasSubstr("the header has 'a' twice"));
  EXPECT_THAT(header_error(R"({"__metadata__":{},"__metadata__":{}})"),
              HasSubstr("the header has '__metadata__' twice"));
  EXPECT_THAT(header_error(R"({"__metadata__":{"k":"1","k":"2"}})"),
              HasSubstr("__metadata__ has 'k' twice"));
  EXPECT_THAT(header_error(R"({"a":{"dtype":"U8","dtype":"U8"}})"), HasSubstr("has 'dtype' twice"));
  EXPECT_THAT(header_error(R"({"a":{"shape":[],"shape":[]}})"), HasSubstr("has 'shape' twice"));
  EXPECT_THAT(header_error(R"({"a":{"data_offsets":[],"data_offsets":[]}})"),
              HasSubstr("has 'data_offsets' twice"));
}

TEST(Safetensors, FieldsOfTheWrongKindAreRefused) {
  EXPECT_THAT(header_error(R"({"a":1})"), HasSubstr("'a' is 1, expected an object"));
  EXPECT_THAT(header_error(R"({"a":null})"), HasSubstr("'a' is null, expected an object"));
  EXPECT_THAT(header_error(R"({"a":"x"})"), HasSubstr("'a' is the string 'x', expected an object"));
  EXPECT_THAT(header_error(R"({"a":[]})"), HasSubstr("'a' is an array, expected an object"));
  EXPECT_THAT(header_error(R"({"__metadata__":{"k":1}})"),
              HasSubstr("__metadata__ 'k' is 1, expected a string"));
  EXPECT_THAT(header_error(R"({"__metadata__":[]})"), HasSubstr("expected an object"));
  EXPECT_THAT(header_error(R"({"a":{}})"), HasSubstr("tensor 'a' has no dtype"));
  EXPECT_THAT(header_error(R"({"a":{"dtype":"U8"}})"), HasSubstr("tensor 'a' has no shape"));
  EXPECT_THAT(header_error(R"({"a":{"dtype":1}})"),
              HasSubstr("has 1 as 'dtype', expected a string"));
  EXPECT_THAT(header_error(R"({"a":{"dtype":[]}})"), HasSubstr("has an array as 'dtype'"));
  EXPECT_THAT(header_error(R"({"a":{"shape":true}})"),
              HasSubstr("has a boolean as 'shape', expected an array of integers"));
  EXPECT_THAT(header_error(R"({"a":{"shape":["1"]}})"), HasSubstr("has the string '1' in 'shape'"));
  EXPECT_THAT(header_error(R"({"a":{"scale":1}})"), HasSubstr("has an unknown field 'scale'"));
}

TEST(Safetensors, MessagesStayOnOneShortLine) {
  const std::string error =
      header_error("{" + entry("x\\n" + std::string(100000, 'y'), "?", "", "0,0") + "}");
  EXPECT_THAT(error, HasSubstr("tensor 'x\\x0ay"));
  EXPECT_LT(error.size(), 200u);
}

TEST(SafetensorsFile, MissingFilesAndFoldersAreFileErrors) {
  TemporaryFolder folder;
  EXPECT_THROW(SafetensorsFile(folder / "none.safetensors"), FileError);
  EXPECT_THROW(SafetensorsFile{folder.path()}, FileError);
  write_file(folder / "empty.safetensors", "");
  EXPECT_THROW(SafetensorsFile(folder / "empty.safetensors"), FormatError);
}

TEST(SafetensorsWriter, WhatIsWrittenInPiecesIsReadBack) {
  TemporaryFolder folder;
  const std::string large(3'000'000, 'L');
  SafetensorsWriter writer(folder / "out.safetensors",
                           {{"zero", DType::F32, {0}},
                            {"large", DType::U8, {3, 1'000'000}},
                            {"né\"w", DType::BF16, {2}},
                            {"scalar", DType::I64, {}},
                            {"last", DType::BOOL, {5, 0}}},
                           {{"format", "pt"}, {"quote \"", "line\n"}});
  writer.write("large", as_bytes(std::string_view(large).substr(0, 1)));
  writer.write("large", as_bytes(std::string_view(large).substr(1)));
  writer.write("né\"w", as_bytes("ABCD"));
  EXPECT_FALSE(writer.complete());
  writer.write("scalar", as_bytes("12345678"));
  EXPECT_TRUE(writer.complete());
  EXPECT_FALSE(std::filesystem::exists(folder / "out.safetensors"));
  writer.commit();

  const SafetensorsFile file(folder / "out.safetensors");
  EXPECT_THAT(file.names(), ElementsAre("zero", "large", "né\"w", "scalar", "last"));
  EXPECT_THAT(file.metadata(), ElementsAre(Pair("format", "pt"), Pair("quote \"", "line\n")));
  EXPECT_TRUE(as_string(file.bytes("large")) == large);
  EXPECT_EQ(as_string(file.bytes("né\"w")), "ABCD");
  EXPECT_EQ(as_string(file.bytes("scalar")), "12345678");
  EXPECT_EQ(file.find("large")->shape, (std::vector<int64_t>{3, 1'000'000}));
  EXPECT_EQ(file.find("last")->dtype, DType::BOOL);
  // The reference pads the header so that the data begins at a multiple of 8.
  EXPECT_EQ((std::filesystem::file_size(folder / "out.safetensors") - 3'000'012) % 8, 0u);
}

TEST(SafetensorsWriter, AFileThatIsNotCompleteNeverAppears) {
  TemporaryFolder folder;
  {
    SafetensorsWriter writer(folder / "out.safetensors", {{"a", DType::U8, {4}}});
    writer.write("a", as_bytes("123"));
    EXPECT_THROW(writer.commit(), InputError);
    EXPECT_THROW(writer.write("a", as_bytes("45")), InputError);
    EXPECT_THROW(writer.write("b", as_bytes("4")), InputError);
    writer.write("a", as_bytes("4"));
    EXPECT_THROW(writer.write("a", as_bytes("5")), InputError);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SafetensorsWriter, ImpossibleListsAreRefused) {
  TemporaryFolder folder;
  const auto make = [&](std::vector<TensorSpec> tensors) {
    SafetensorsWriter(folder / "out.safetensors", std::move(tensors));
  };
  EXPECT_THROW(make({{"a", DType::U8, {1}}, {"a", DType::U8, {1}}}), InputError);
  EXPECT_THROW(make({{"__metadata__", DType::U8, {1}}}), InputError);
  EXPECT_THROW(make({{"\xff", DType::U8, {1}}}), InputError);
  EXPECT_THROW(make({{"a", DType::U8, {-1}}}), InputError);
  EXPECT_THROW(make({{"a", DType::F64, {INT64_MAX}}}), InputError);
  EXPECT_THROW(make({{"a", DType::U8, {INT64_MAX}},
                     {"b", DType::U8, {INT64_MAX}},
                     {"c", DType::U8, {INT64_MAX}}}),
               InputError);
  EXPECT_THROW(make({{std::string(kMaxSafetensorsHeaderBytes, 'a'), DType::U8, {1}}}), InputError);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SafetensorsWriter, AFolderThatIsNotThereIsAFileError) {
  TemporaryFolder folder;
  EXPECT_THROW(SafetensorsWriter(folder / "none" / "out.safetensors", {}), FileError);
}

}  // namespace
}  // namespace e5v::detail
