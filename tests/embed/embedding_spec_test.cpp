#include "e5v/embed/embedding_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace e5v::detail {
namespace {

EmbeddingSpec example() {
  EmbeddingSpec spec;
  spec.model = "models/a";
  spec.weights = "abc";
  spec.config = "c";
  spec.adapter_weights = "none";
  spec.precision = "fp32";
  spec.dimensions = 4096;
  spec.task = "retrieval";
  spec.prompt = "";
  spec.image_processing = "current";
  spec.exif = true;
  return spec;
}

TEST(EmbeddingSpecTest, ComesBackFromJson) {
  EmbeddingSpec spec = example();
  spec.adapter = "adapters/a";
  spec.tokenizer = "t";
  spec.images = "i";
  EXPECT_EQ(spec.to_json().size(), 13u);  // no field is left out
  EXPECT_EQ(EmbeddingSpec::from_json(spec.to_json()).to_json(), spec.to_json());
  EXPECT_EQ(EmbeddingSpec::from_json(spec.to_json()).hash(), spec.hash());
}

TEST(EmbeddingSpecTest, AnotherModelIsNamedByFolderAndPrecision) {
  EmbeddingSpec other = example();
  other.model = "models/b";
  other.weights = "xyz";
  other.precision = "bf16";
  EXPECT_EQ(difference(example(), other, SpecScope::kSpace),
            "another model (weights): models/a in fp32, this is models/b in bf16");
  other.model = "models/a";
  EXPECT_EQ(difference(example(), other, SpecScope::kSpace), "other files in models/a: weights");
}

TEST(EmbeddingSpecTest, FoldersDoNotCountPrecisionDoes) {
  EmbeddingSpec other = example();
  other.model = "elsewhere";
  EXPECT_EQ(difference(example(), other, SpecScope::kWhole), std::nullopt);
  EXPECT_EQ(other.hash(), example().hash());
  other.precision = "bf16";
  EXPECT_EQ(difference(example(), other, SpecScope::kSpace),
            "another precision: fp32, now bf16; give --precision fp32");
  EXPECT_NE(other.hash(), example().hash());
}

TEST(EmbeddingSpecTest, WhatOthersSeeNamesNoFolders) {
  Json whole = example().to_json();
  EXPECT_EQ(whole["model"], "models/a");
  whole.erase("model");
  EXPECT_EQ(example().compared_json(), whole);
}

TEST(EmbeddingSpecTest, PromptsCountForTheSameItemsOnly) {
  EmbeddingSpec other = example();
  other.task = "sts";
  EXPECT_EQ(difference(example(), other, SpecScope::kSpace), std::nullopt);
  EXPECT_EQ(difference(example(), other, SpecScope::kWhole), "another task: retrieval, now sts");
}

TEST(EmbeddingSpecTest, OtherBoundsOfPicturesGiveOtherVectors) {
  EmbeddingSpec other = example();
  other.max_pixels = 151200;
  EXPECT_EQ(difference(example(), other, SpecScope::kSpace), std::nullopt);
  EXPECT_EQ(difference(example(), other, SpecScope::kWhole), "another --max-pixels: 0, now 151200");
  EXPECT_NE(other.hash(), example().hash());
  EXPECT_EQ(EmbeddingSpec::from_json(other.to_json()).max_pixels, 151200);
  // The folder's own are written as earlier versions did, which had no others.
  EXPECT_FALSE(example().to_json().contains("max-pixels"));
}

TEST(EmbeddingSpecTest, FieldsThatAnEarlierVersionDidNotWriteEqualAll) {
  Json earlier = example().to_json();
  for (const char* key : {"precision", "model", "adapter-folder"}) earlier.erase(key);
  const EmbeddingSpec made = EmbeddingSpec::from_json(earlier);
  EXPECT_EQ(difference(made, example(), SpecScope::kWhole), std::nullopt);
  EmbeddingSpec tuned = example();
  tuned.adapter_weights = "123";
  EXPECT_NE(difference(made, tuned, SpecScope::kSpace), std::nullopt);
}

}  // namespace
}  // namespace e5v::detail
