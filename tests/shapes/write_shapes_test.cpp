#include "e5v/shapes/write_shapes.h"

#include <gmock/gmock.h>

#include <map>
#include <set>
#include <sstream>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "e5v/image/decode.h"
#include "tests/shapes/words.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

ShapesOptions options_of(SceneSplit split, int64_t scenes, int64_t seed = 0) {
  ShapesOptions options;
  options.split = split;
  options.scenes = scenes;
  options.seed = seed;
  return options;
}

/// Every file's bytes by its path.
std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    files[entry.path().lexically_relative(folder).string()] = read_file(entry.path());
  }
  return files;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

uint64_t digest(const std::string& bytes) {
  uint64_t value = bytes.size();
  for (const char byte : bytes) value = mix64(value ^ static_cast<unsigned char>(byte));
  return value;
}

TEST(WriteShapesTest, EqualOptionsGiveEqualFilesOnEveryMachine) {
  const TemporaryFolder folder;
  write_shapes(folder / "one", options_of(SceneSplit::kTest, 9, 5));
  write_shapes(folder / "two", options_of(SceneSplit::kTest, 9, 5));
  write_shapes(folder / "other", options_of(SceneSplit::kTest, 9, 6));
  const auto one = contents(folder / "one"), other = contents(folder / "other");
  EXPECT_EQ(one, contents(folder / "two"));
  for (const char* file : {"rand/dataset.json", "triplets.csv", "hard/images/000000.png"}) {
    EXPECT_NE(one.at(file), other.at(file)) << file;
  }
  uint64_t texts = 0;
  for (const auto& [name, bytes] : one) {
    // Not the PNG files: another zlib packs the same pixels otherwise.
    if (!name.ends_with(".png")) texts = mix64(texts ^ digest(name + bytes));
  }
  EXPECT_EQ(texts, UINT64_C(4369266636776152580));
}

TEST(WriteShapesTest, APartIsTheSameWhateverElseIsWritten) {
  const TemporaryFolder folder;
  ShapesOptions options = options_of(SceneSplit::kVal, 6);
  write_shapes(folder / "all", options);
  const auto all = contents(folder / "all");
  for (const std::string& part : options.parts) {
    ShapesOptions alone = options;
    alone.parts = {part};
    write_shapes(folder / part, alone);
    for (const auto& [name, bytes] : contents(folder / part))
      EXPECT_EQ(all.at(name), bytes) << name;
  }
}

TEST(WriteShapesTest, GalleriesAreKarpathysJson) {
  const TemporaryFolder folder;
  write_shapes(folder / "shapes", options_of(SceneSplit::kTest, 8));
  for (const char* part : {"rand", "hard", "text"}) {
    const Json document = read_json(folder / "shapes" / part / "dataset.json");
    ASSERT_EQ(document["images"].size(), 8u);
    for (size_t i = 0; i < 8; ++i) {
      const Json& image = document["images"][i];
      EXPECT_EQ(image["split"], "test");
      EXPECT_EQ(image["imgid"], i);
      const Json& sentence = image["sentences"].at(0);
      EXPECT_EQ(image["sentids"].at(0), sentence["sentid"]);
      EXPECT_EQ(sentence["imgid"], image["imgid"]);
      EXPECT_GT(sentence["tokens"].size(), 3u);
      const Image picture =
          load_image(folder / "shapes" / part / image["filepath"].get<std::string>() /
                     image["filename"].get<std::string>());
      const int64_t side = part == std::string("text") ? 144 : 48;
      EXPECT_EQ(picture.size(), (ImageSize{side, side}));
    }
    if (part == std::string("hard")) {
      EXPECT_EQ(document["images"][7]["group"], 1);
    }
  }
}

TEST(WriteShapesTest, ComposedQueriesAreCirrs) {
  const TemporaryFolder folder;
  write_shapes(folder / "shapes", options_of(SceneSplit::kVal, 10));
  const fs::path composed = folder / "shapes" / "composed";
  const Json files = read_json(composed / "image_splits" / "split.rc2.val.json");
  const Json queries = read_json(composed / "captions" / "cap.rc2.val.json");
  ASSERT_EQ(queries.size(), 10u);
  EXPECT_EQ(files.size(), 6u + 6u + 4u);  // the last group has two edits
  for (const auto& [name, file] : files.items()) {
    EXPECT_TRUE(fs::exists(composed / file.get<std::string>())) << file;
  }
  for (const Json& query : queries) {
    const Json& set = query["img_set"];
    EXPECT_EQ(set["members"][set["reference_rank"].get<size_t>()], query["reference"]);
    EXPECT_EQ(set["members"][set["target_rank"].get<size_t>()], query["target_hard"]);
    EXPECT_EQ(query["target_soft"][query["target_hard"].get<std::string>()], 1.0);
    for (const Json& member : set["members"]) EXPECT_TRUE(files.contains(member)) << member;
    EXPECT_GT(query["caption"].get<std::string>().size(), 8u);
  }
}

TEST(WriteShapesTest, TripletsAndQuestionsAreOneALine) {
  const TemporaryFolder folder;
  write_shapes(folder / "shapes", options_of(SceneSplit::kTrain, 12));
  const auto triplets = lines_of(read_file(folder / "shapes" / "triplets.csv"));
  ASSERT_EQ(triplets.size(), 13u);
  EXPECT_EQ(triplets[0], "sent0,sent1,hard_neg");
  const auto rows = lines_of(read_file(folder / "shapes" / "questions.jsonl"));
  ASSERT_EQ(rows.size(), 12u);
  const Json gallery = read_json(folder / "shapes" / "rand" / "dataset.json");
  for (size_t i = 0; i < rows.size(); ++i) {
    const Json row = parse_json(rows[i], "questions.jsonl");
    EXPECT_TRUE(fs::exists(folder / "shapes" / row["image"].get<std::string>()));
    EXPECT_EQ(row["caption"], gallery["images"][i]["sentences"][0]["raw"]);
    EXPECT_EQ(row["questions"].size(), 4u);
  }
}

TEST(WriteShapesTest, ConversationsAreLlavas) {
  const TemporaryFolder folder;
  ShapesOptions options = options_of(SceneSplit::kTrain, 200);
  options.parts = {"rand", "conversations"};
  write_shapes(folder / "shapes", options);
  const struct {
    const char* file;
    size_t num_rows;
    bool has_images;
    size_t num_lengths;  // questions, descriptions, all else
    bool has_words;
  } kFiles[] = {{"text_conversations.jsonl", 200, false, 3, true},
                {"text_edits.jsonl", 200, false, 1, true},
                {"picture_conversations.jsonl", 400, true, 2, false},
                {"picture_words.jsonl", 200, true, 1, true}};
  for (const auto& [file, num_rows, has_images, num_lengths, has_words] : kFiles) {
    const auto rows = lines_of(read_file(folder / "shapes" / file));
    EXPECT_EQ(rows.size(), num_rows);
    std::set<size_t> lengths;
    size_t num_lists = 0;
    for (const std::string& line : rows) {
      const Json row = parse_json(line, file);
      const Json& turns = row["conversations"];
      lengths.insert(turns.size());
      for (size_t i = 0; i < turns.size(); ++i) {
        EXPECT_EQ(turns[i]["from"], i % 2 == 0 ? "human" : "gpt");
        if (turns[i]["value"].is_array()) {
          // All words of a scene of one, two or three objects, as often as their weights say.
          EXPECT_EQ(i + 1, turns.size());
          EXPECT_THAT(turns[i]["value"].size(), testing::AnyOf(28u, 44u, 50u)) << line;
          ++num_lists;
          continue;
        }
        EXPECT_FALSE(turns[i]["value"].get<std::string>().empty());
      }
      EXPECT_EQ(row.contains("image"), has_images);
      EXPECT_EQ(turns[0]["value"].get<std::string>().starts_with("<image>\n"), has_images);
      if (has_images) {
        EXPECT_TRUE(fs::exists(folder / "shapes" / row["image"].get<std::string>()));
      }
    }
    EXPECT_EQ(lengths.size(), num_lengths) << file;
    EXPECT_EQ(num_lists > 0, has_words) << file;
  }
}

TEST(WriteShapesTest, CaptionsAndDescriptionsArePairs) {
  const TemporaryFolder folder;
  ShapesOptions options = options_of(SceneSplit::kTrain, 20);
  options.parts = {"rand", "conversations"};
  write_shapes(folder / "shapes", options);
  const auto rows_of = [&](const char* file) {
    return lines_of(read_file(folder / "shapes" / file));
  };
  const auto captions = rows_of("picture_captions.jsonl");
  const auto descriptions = rows_of("picture_descriptions.jsonl");
  const auto conversations = rows_of("picture_conversations.jsonl");
  ASSERT_EQ(captions.size(), 20u);
  ASSERT_EQ(descriptions.size(), 20u);
  for (size_t i = 0; i < captions.size(); ++i) {
    const Json caption = parse_json(captions[i], "captions");
    const Json described = parse_json(descriptions[i], "descriptions");
    EXPECT_EQ(caption["anchor"], described["anchor"]);
    const Json conversation = parse_json(conversations[2 * i], "conversations");
    EXPECT_EQ(described["anchor"]["image"], conversation["image"]);
    EXPECT_EQ(described["positive"], conversation["conversations"][1]["value"]);
  }
}

TEST(WriteShapesTest, TheWordsOfConversationsAreListed) {
  const TemporaryFolder folder;
  ShapesOptions options = options_of(SceneSplit::kTrain, 3000);
  options.parts = {"conversations"};
  write_shapes(folder / "shapes", options);
  const auto words = lines_of(read_file(folder / "shapes" / "words.txt"));
  EXPECT_THAT(words, testing::IsSupersetOf({"Summary", "above", "background", "desribe", "disc",
                                            "image", "sentence", "small", "word", "yes"}));
  EXPECT_LT(words.size(), 120u);
}

TEST(WriteShapesTest, SplitsShareNoCaptionsWords) {
  const TemporaryFolder folder;
  std::map<std::vector<std::string>, std::string> split_of_words;
  for (const SceneSplit split : {SceneSplit::kTrain, SceneSplit::kVal, SceneSplit::kTest}) {
    const std::string name(scene_split_name(split));
    ShapesOptions options = options_of(split, 200);
    options.parts = {"hard"};
    write_shapes(folder / name, options);
    for (const Json& image : read_json(folder / name / "hard" / "dataset.json")["images"]) {
      const auto words = bag_of_words(image["sentences"][0]["raw"].get<std::string>());
      EXPECT_EQ(split_of_words.emplace(words, name).first->second, name);
    }
  }
}

TEST(WriteShapesTest, WrongOptionsNameTheRule) {
  const TemporaryFolder folder;
  const auto message_of = [&](const std::function<void(ShapesOptions&)>& spoil) -> std::string {
    ShapesOptions options;
    spoil(options);
    try {
      write_shapes(folder / "never", options);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no ConfigError";
  };
  EXPECT_EQ(message_of([](auto& o) { o.scenes = 0; }), "'scenes' is 0, expected 1 to 100000");
  EXPECT_EQ(message_of([](auto& o) { o.side = 2000; }), "'side' is 2000, expected 24 to 1024");
  EXPECT_THAT(message_of([](auto& o) { o.seed = -1; }), HasSubstr("'seed' is -1, expected 0 to"));
  EXPECT_THAT(message_of([](auto& o) {
                o.parts = {"rand", "hrad"};
              }),
              HasSubstr("'parts' has 'hrad', expected some of rand, hard"));
  EXPECT_THAT(message_of([](auto& o) { o.parts = {}; }), HasSubstr("nothing to write"));
  EXPECT_FALSE(fs::exists(folder / "never"));
}

TEST(WriteShapesTest, AFolderThatHoldsSomethingIsLeftAlone) {
  const TemporaryFolder folder;
  write_file(folder / "mine.txt", "mine");
  EXPECT_THROW(write_shapes(folder.path(), options_of(SceneSplit::kTest, 4)), FileError);
  EXPECT_EQ(read_file(folder / "mine.txt"), "mine");
  EXPECT_EQ(contents(folder.path()).size(), 1u);
}

}  // namespace
}  // namespace e5v::detail
