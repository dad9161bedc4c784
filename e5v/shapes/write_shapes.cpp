#include "e5v/shapes/write_shapes.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <system_error>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "e5v/base/new_folder.h"
#include "e5v/base/random.h"
#include "e5v/image/encode_png.h"
#include "e5v/shapes/conversation.h"
#include "e5v/shapes/draw_scene.h"
#include "e5v/shapes/draw_text.h"
#include "e5v/shapes/gallery.h"
#include "e5v/shapes/question.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxScenes = 100'000, kMinSide = 24, kMaxSide = 1024;
constexpr int64_t kTextSideFactor = 3, kQuestionsPerScene = 4;

/// In the order of kPartNames, which must stay: a part's number is in the seed of its generator.
enum class Part : uint64_t {
  kRand,
  kHard,
  kComposed,
  kText,
  kTriplets,
  kQuestions,
  kConversations,
  kDistinct
};
constexpr std::array<std::string_view, 8> kPartNames = {
    "rand", "hard", "composed", "text", "triplets", "questions", "conversations", "distinct"};

constexpr std::array<std::string_view, 7> kEditKindNames = {"color", "shape",  "size", "background",
                                                            "swap",  "remove", "add"};
constexpr std::array<std::string_view, kNumQuestionKinds> kQuestionKindNames = {
    "color",    "shape",  "size",  "neighbor",   "place",
    "relation", "exists", "count", "background", "arrangement"};

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw FileError(path.native(), "cannot create", error.message());
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  if (!word.empty()) words.push_back(word);
  return words;
}

/// No text of this world has a quote or line end in it.
std::string csv_row(const CaptionTriplet& triplet) {
  return fmt::format("\"{}\",\"{}\",\"{}\"\n", triplet.anchor, triplet.positive, triplet.negative);
}

/// As LLaVA's instruction data has it, one object a line.
std::string conversation_row(const SceneConversation& conversation, const std::string& image) {
  Json turns = Json::array();
  for (const SceneTurn& turn : conversation) {
    const bool is_first = turns.empty();
    turns.push_back(
        {{"from", "human"},
         {"value", is_first && !image.empty() ? "<image>\n" + turn.prompt : turn.prompt}});
    turns.push_back(
        {{"from", "gpt"},
         {"value", turn.answers.size() == 1 ? Json(turn.answers[0]) : Json(turn.answers)}});
  }
  Json row = {{"conversations", std::move(turns)}};
  if (!image.empty()) row["image"] = image;
  return row.dump() + "\n";
}

/// A picture and a text about it, to be trained on as a pair.
std::string caption_row(const std::string& image, const std::string& text) {
  const Json row = {{"anchor", {{"image", image}}}, {"positive", text}};
  return row.dump() + "\n";
}

class ShapesWriter {
 public:
  ShapesWriter(fs::path folder, const ShapesOptions& options, const ProgressCallback& progress)
      : folder_(std::move(folder)), options_(options), progress_(progress) {
    for (size_t i = 0; i < kPartNames.size(); ++i) {
      if (has(static_cast<Part>(i))) total_ += static_cast<uint64_t>(options.scenes);
    }
  }

  void write() const {
    make_folder(folder_);
    if (has(Part::kRand) || has(Part::kQuestions) || has(Part::kConversations)) {
      SplitMix64 random = draws_of(Part::kRand);
      const auto gallery = random_gallery(options_.scenes, options_.split, random);
      if (has(Part::kRand)) write_gallery(Part::kRand, gallery);
      if (has(Part::kQuestions)) write_questions(gallery);
      if (has(Part::kConversations)) write_conversations(gallery);
    }
    if (has(Part::kDistinct)) {
      SplitMix64 random = draws_of(Part::kDistinct);
      write_gallery(Part::kDistinct, distinct_gallery(options_.scenes, options_.split, random));
    }
    if (has(Part::kHard)) {
      SplitMix64 random = draws_of(Part::kHard);
      write_gallery(Part::kHard, hard_gallery(options_.scenes, options_.split, random));
    }
    if (has(Part::kComposed)) write_composed();
    if (has(Part::kText)) {
      SplitMix64 random = draws_of(Part::kText);
      write_gallery(Part::kText, random_gallery(options_.scenes, options_.split, random));
    }
    if (has(Part::kTriplets)) write_triplets();
  }

 private:
  bool has(Part part) const {
    const auto& parts = options_.parts;
    return std::find(parts.begin(), parts.end(), name(part)) != parts.end();
  }

  static std::string_view name(Part part) { return kPartNames[static_cast<size_t>(part)]; }

  /// Each part has its own generator, so that it is the same whichever other parts are written.
  SplitMix64 draws_of(Part part) const {
    const auto seed = mix64(static_cast<uint64_t>(options_.seed));
    const auto split = static_cast<uint64_t>(options_.split);
    return SplitMix64(mix64(seed ^ (split << 8) ^ static_cast<uint64_t>(part)));
  }
  /// The generator of one picture's pixels, apart from that of the texts.
  SplitMix64 pixel_draws(Part part, uint64_t picture) const {
    return SplitMix64(mix64(draws_of(part).next() + picture));
  }

  void write_picture(const fs::path& path, const Image& image) const {
    write_file(path, encode_png(image));
  }
  Image draw(Part part, uint64_t picture, const Scene& scene) const {
    SplitMix64 pixels = pixel_draws(part, picture);
    return draw_scene(scene, options_.side, pixels);
  }

  void write_gallery(Part part, const std::vector<CaptionedScene>& gallery) const {
    const fs::path folder = folder_ / name(part);
    make_folder(folder / "images");
    Json images = Json::array();
    for (size_t i = 0; i < gallery.size(); ++i) {
      const auto& [scene, text] = gallery[i];
      const std::string filename = fmt::format("{:06}.png", i);
      SplitMix64 pixels = pixel_draws(part, i);
      const Image image = part == Part::kText ? draw_text(caption(scene, Phrasing::random(pixels)),
                                                          options_.side * kTextSideFactor)
                                              : draw_scene(scene, options_.side, pixels);
      write_picture(folder / "images" / filename, image);
      Json entry = {{"filename", filename},
                    {"filepath", "images"},
                    {"imgid", i},
                    {"sentids", {i}},
                    {"split", scene_split_name(options_.split)},
                    {"sentences",
                     {{{"raw", text}, {"tokens", words_of(text)}, {"imgid", i}, {"sentid", i}}}}};
      if (part == Part::kHard) entry["group"] = i / 4;
      images.push_back(std::move(entry));
      advance();
    }
    const Json document = {{"dataset", fmt::format("shapes-{}", name(part))}, {"images", images}};
    write_file(folder / "dataset.json", document.dump() + "\n");
  }

  void write_composed() const {
    const std::string split(scene_split_name(options_.split));
    const fs::path folder = folder_ / "composed";
    make_folder(folder / split);
    make_folder(folder / "captions");
    make_folder(folder / "image_splits");
    SplitMix64 random = draws_of(Part::kComposed);
    const auto groups = composed_groups(options_.scenes, options_.split, random);
    Json queries = Json::array(), files = Json::object();
    uint64_t num_pictures = 0;
    for (size_t g = 0; g < groups.size(); ++g) {
      const ComposedGroup& group = groups[g];
      std::vector<const Scene*> scenes = {&group.reference};
      for (const Edit& edit : group.edits) scenes.push_back(&edit.target);
      scenes.push_back(&group.near_miss);
      Json members = Json::array();
      for (size_t i = 0; i < scenes.size(); ++i) {
        std::string picture = fmt::format("{}-{}-img{}", split, g, i);
        const std::string file = fmt::format("{}/{}.png", split, picture);
        write_picture(folder / file, draw(Part::kComposed, num_pictures++, *scenes[i]));
        files[picture] = "./" + file;
        members.push_back(std::move(picture));
      }
      for (size_t e = 0; e < group.edits.size(); ++e) {
        const std::string target = members[e + 1];
        queries.push_back(
            {{"pairid", queries.size()},
             {"reference", members[0]},
             {"target_hard", target},
             {"target_soft", {{target, 1.0}}},
             {"caption", group.edits[e].instruction},
             {"kind", kEditKindNames[static_cast<size_t>(group.edits[e].kind)]},
             {"img_set",
              {{"id", g}, {"members", members}, {"reference_rank", 0}, {"target_rank", e + 1}}}});
        advance();
      }
    }
    write_file(folder / "captions" / fmt::format("cap.rc2.{}.json", split), queries.dump() + "\n");
    write_file(folder / "image_splits" / fmt::format("split.rc2.{}.json", split),
               files.dump() + "\n");
  }

  void write_triplets() const {
    SplitMix64 random = draws_of(Part::kTriplets);
    AtomicFile file(folder_ / "triplets.csv");
    file.write(std::string_view("sent0,sent1,hard_neg\n"));
    for (int64_t i = 0; i < options_.scenes; ++i) {
      file.write(csv_row(random_triplet(options_.split, random)));
      advance();
    }
    file.commit();
  }

  void write_questions(const std::vector<CaptionedScene>& gallery) const {
    SplitMix64 random = draws_of(Part::kQuestions);
    AtomicFile file(folder_ / "questions.jsonl");
    for (size_t i = 0; i < gallery.size(); ++i) {
      Json questions = Json::array();
      for (int64_t q = 0; q < kQuestionsPerScene; ++q) {
        Question question = random_question(gallery[i].scene, random);
        questions.push_back({{"kind", kQuestionKindNames[static_cast<size_t>(question.kind)]},
                             {"question", std::move(question.text)},
                             {"answer", std::move(question.answer)}});
      }
      const Json row = {{"image", fmt::format("rand/images/{:06}.png", i)},
                        {"caption", gallery[i].caption},
                        {"questions", std::move(questions)}};
      file.write(row.dump() + "\n");
      advance();
    }
    file.commit();
  }

  void write_conversations(const std::vector<CaptionedScene>& gallery) const {
    SplitMix64 random = draws_of(Part::kConversations);
    SplitMix64 edit_random(mix64(draws_of(Part::kConversations).next()));
    AtomicFile texts(folder_ / "text_conversations.jsonl");
    AtomicFile edits(folder_ / "text_edits.jsonl");
    AtomicFile pictures(folder_ / "picture_conversations.jsonl");
    AtomicFile names(folder_ / "picture_words.jsonl");
    AtomicFile captions(folder_ / "picture_captions.jsonl");
    AtomicFile descriptions(folder_ / "picture_descriptions.jsonl");
    std::set<std::string> words;
    const auto write = [&](AtomicFile& file, const SceneConversation& turns, std::string image) {
      file.write(conversation_row(turns, image));
      for (const SceneTurn& turn : turns) {
        for (std::string& word : words_of(turn.prompt)) words.insert(std::move(word));
        for (const std::string& answer : turn.answers) {
          for (std::string& word : words_of(answer)) words.insert(std::move(word));
        }
      }
    };
    for (size_t i = 0; i < gallery.size(); ++i) {
      const Scene& scene = gallery[i].scene;
      const std::string image = fmt::format("rand/images/{:06}.png", i);
      write(texts, random_text_conversation(options_.split, random), "");
      write(edits, random_text_edit(options_.split, edit_random), "");
      const SceneConversation description = describe_picture(scene, random);
      write(pictures, description, image);
      write(pictures, question_picture(scene, random), image);
      write(names, name_picture(scene), image);
      captions.write(caption_row(image, gallery[i].caption));
      descriptions.write(caption_row(image, description.at(0).answers.at(0)));
      advance();
    }
    texts.commit();
    edits.commit();
    pictures.commit();
    names.commit();
    captions.commit();
    descriptions.commit();
    write_file(folder_ / "words.txt", fmt::format("{}\n", fmt::join(words, "\n")));
  }

  void advance() const {
    if (progress_) progress_(++done_, total_);
  }

  fs::path folder_;
  const ShapesOptions& options_;
  const ProgressCallback& progress_;
  uint64_t total_ = 0;
  mutable uint64_t done_ = 0;
};

void check_range(std::string_view option, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return;
  throw ConfigError(fmt::format("'{}' is {}, expected {} to {}", option, value, low, high));
}

}  // namespace

void ShapesOptions::register_options(OptionRegistry& registry) {
  registry.add(
      "split", split,
      {{"train", SceneSplit::kTrain}, {"val", SceneSplit::kVal}, {"test", SceneSplit::kTest}},
      "Which scenes; those of different splits share no picture");
  registry.add("scenes", scenes, "Scenes in each part, 1 to 100000");
  registry.add("seed", seed, "Equal seeds give equal texts and pixels");
  registry.add("side", side, "Width and height of a picture in pixels, 24 to 1024");
  registry.add("parts", parts, fmt::format("What to write: {}", fmt::join(kPartNames, ", ")));
}

void ShapesOptions::validate() const {
  check_range("scenes", scenes, 1, kMaxScenes);
  check_range("seed", seed, 0, std::numeric_limits<int64_t>::max());
  check_range("side", side, kMinSide, kMaxSide);
  if (parts.empty()) throw ConfigError("'parts' is empty: nothing to write");
  for (const std::string& part : parts) {
    if (std::find(kPartNames.begin(), kPartNames.end(), part) != kPartNames.end()) continue;
    throw ConfigError(fmt::format("'parts' has '{}', expected some of {}", printable(part),
                                  fmt::join(kPartNames, ", ")));
  }
}

void write_shapes(const fs::path& folder, const ShapesOptions& options,
                  const ProgressCallback& progress) {
  options.validate();
  NewFolder target(folder, "scenes");
  ShapesWriter(target.path(), options, progress).write();
  target.commit();
}

}  // namespace e5v::detail
