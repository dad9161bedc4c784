// Each protocol with each system, on small models, from files to report.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "e5v/base/npy.h"
#include "e5v/eval/clip_system.h"
#include "e5v/eval/e5v_system.h"
#include "e5v/eval/language_head.h"
#include "e5v/eval/report.h"
#include "e5v/eval/retrieval.h"
#include "e5v/eval/vectors_system.h"
#include "tests/eval/eval_support.h"
#include "tests/support/golden.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path kGoldens = fs::path(E5V_SOURCE_DIR) / "tests/goldens";

/// The tiny models of the goldens, as folders of a user.
class SystemsGoldenTest : public testing::Test {
 protected:
  SystemsGoldenTest() {
    for (const char* name : {"config.json", "preprocessor_config.json", "model.safetensors"}) {
      fs::create_directories(folder_ / "clip");
      fs::copy_file(kGoldens / "clip_tiny" / name, folder_ / "clip" / name);
    }
    fs::copy_file(kGoldens / "tokenizer_kinds/clip.tokenizer.json",
                  folder_ / "clip/tokenizer.json");
    for (const char* name : {"ball.png", "flower.jpg", "house.png", "sunset.jpg"}) {
      fs::create_directories(folder_ / "data/images");
      fs::copy_file(fs::path(E5V_SOURCE_DIR) / "examples/pictures" / name,
                    folder_ / "data/images" / name);
    }
    write_file(folder_ / "data/captions.tsv",
               "ball.png\ta red ball\nball.png\tsomething round\nflower.jpg\ta flower\n"
               "house.png\ta house\nsunset.jpg\tthe sun goes down\n");
    options_.cache = folder_ / "cache";
  }

  std::unique_ptr<System> e5v() const {
    return make_e5v_system(
        {.model = kGoldens / "end_to_end_tiny", .precision = Precision::kFloat32, .device = "cpu"},
        options_);
  }
  std::unique_ptr<System> clip(Composition composition = Composition::kSum) const {
    ClipEmbedderOptions clip{.model = folder_ / "clip"};
    if (composition == Composition::kPseudoWord) clip.phi = kGoldens / "clip_tiny/phi.safetensors";
    return make_clip_system(clip, composition, options_, searle_template_);
  }

  /// CIRR's files about the four pictures.
  void write_cirr() const {
    fs::create_directories(folder_ / "cirr/captions");
    fs::create_directories(folder_ / "cirr/image_splits");
    write_file(folder_ / "cirr/image_splits/split.rc2.val.json",
               R"({"ball": "./ball.png", "flower": "./flower.jpg", "house": "./house.png",
                   "sunset": "./sunset.jpg"})");
    write_file(folder_ / "cirr/captions/cap.rc2.val.json",
               R"([{"pairid": 1, "reference": "ball", "target_hard": "house", "caption": "is big",
                    "img_set": {"members": ["ball", "flower", "house", "sunset"]}}])");
  }

  const TemporaryFolder folder_;
  SystemOptions options_;
  std::string searle_template_ = kSearleTemplate;
  const OptionValues data_{{"data", folder_ / "data"}};
};

/// Where the best right item of a gallery stands by cosine with a query, counted plainly. From and
/// to are the same but for items whose cosines differ by no more than rounding does: to the small
/// CLIP drawn captions look alike.
struct Place {
  int64_t from = 0, to = 0;
};

Place place_of(std::span<const float> query, const Vectors& gallery,
               const std::function<bool(int64_t)>& is_right) {
  constexpr double kRounding = 1e-6;
  double best = -2;
  for (int64_t i = 0; i < gallery.size(); ++i) {
    if (is_right(i)) best = std::max(best, cosine(query, gallery[i]));
  }
  Place place;
  for (int64_t i = 0; i < gallery.size(); ++i) {
    const double score = cosine(query, gallery[i]);
    place.from += score > best + kRounding;
    place.to += score > best - kRounding && !is_right(i);
  }
  return place;
}

/// `ranks` and the recall at 1 that was made of them are those of the places.
void expect_places(const std::vector<int64_t>& ranks, const Metric& recall_at_1,
                   const std::vector<Place>& places) {
  ASSERT_EQ(ranks.size(), places.size());
  double hits = 0;
  for (size_t i = 0; i < ranks.size(); ++i) {
    EXPECT_TRUE(ranks[i] >= places[i].from && ranks[i] <= places[i].to)
        << ranks[i] << " is not from " << places[i].from << " to " << places[i].to;
    hits += ranks[i] == 0;
  }
  EXPECT_NEAR(recall_at_1.value, 100 * hits / static_cast<double>(ranks.size()), 1e-9);
}

/// The report's ranks are those of the system's own vectors, counted plainly.
void expect_plain_ranks(const TaskReport& report, System& system, const RetrievalSet& set,
                        bool draw_captions) {
  std::vector<EvalImage> drawn;
  for (const std::string& caption : set.captions) drawn.push_back({caption, {}, caption});
  const Vectors images = system.images(set.images, "retrieval").vectors;
  const Vectors captions = draw_captions ? system.images(drawn, "retrieval").vectors
                                         : system.texts(set.captions, "retrieval").vectors;
  const auto image_of = [&](int64_t c) { return set.image_of_caption[static_cast<size_t>(c)]; };
  std::vector<Place> of_captions, of_images;
  for (int64_t c = 0; c < captions.size(); ++c) {
    of_captions.push_back(
        place_of(captions[c], images, [&](int64_t i) { return i == image_of(c); }));
  }
  for (int64_t i = 0; i < images.size(); ++i) {
    of_images.push_back(place_of(images[i], captions, [&](int64_t c) { return image_of(c) == i; }));
  }
  expect_places(report.histograms[0].ranks, *report.find("image_retrieval_recall@1"), of_captions);
  expect_places(report.histograms[1].ranks, *report.find("text_retrieval_recall@1"), of_images);
}

TEST_F(SystemsGoldenTest, VectorsAreCachedForAllModelsOfOneSpec) {
  const auto num_caches = [&](const EmbedderOptions& embedder) {
    make_e5v_system(embedder, options_);
    return std::distance(fs::directory_iterator(options_.cache), {});
  };
  EmbedderOptions embedder{
      .model = kGoldens / "end_to_end_tiny", .precision = Precision::kFloat32, .device = "cpu"};
  EXPECT_EQ(num_caches(embedder), 1);
  fs::copy(kGoldens / "end_to_end_tiny", folder_ / "copy", fs::copy_options::recursive);
  embedder.model = folder_ / "copy";
  EXPECT_EQ(num_caches(embedder), 1);
  embedder.image_processing = ImageProcessing::k4_41;
  EXPECT_EQ(num_caches(embedder), 2);
  embedder.prepare.truncate = true;
  EXPECT_EQ(num_caches(embedder), 3);
  write_file(folder_ / "copy/tokenizer.json", read_file(folder_ / "copy/tokenizer.json") + "\n");
  EXPECT_EQ(num_caches(embedder), 4);
}

TEST_F(SystemsGoldenTest, EverySystemRunsRetrievalAndDrawnCaptions) {
  const RetrievalSet set = load_retrieval({.path = folder_ / "data"});
  for (const char* task : {"retrieval", "i2i"}) {
    for (const bool is_clip : {false, true}) {
      SCOPED_TRACE(fmt::format("{} {}", task, is_clip ? "clip" : "e5v"));
      const auto make = [&] { return is_clip ? clip() : e5v(); };
      const TaskReport report = evaluate(task, data_, make);
      EXPECT_EQ(report.data["captions"], 5);
      expect_plain_ranks(report, *make(), set, std::string(task) == "i2i");
      write_report(folder_ / "report", report);
      EXPECT_TRUE(fs::exists(folder_ / "report/report.html"));
    }
  }
}

TEST_F(SystemsGoldenTest, EverySystemRunsComposedRetrieval) {
  write_cirr();
  std::vector<EvalImage> gallery;  // without the reference, which is masked
  for (const char* name : {"flower.jpg", "house.png", "sunset.jpg"}) {
    gallery.push_back({name, folder_ / "data/images" / name, {}});
  }
  const std::vector<ComposedQuery> query = {
      {{"ball", folder_ / "data/images/ball.png", {}}, {"is big"}}};
  const std::vector<std::function<std::unique_ptr<System>()>> systems = {
      [&] { return e5v(); }, [&] { return clip(); }, [&] { return clip(Composition::kImage); },
      [&] { return clip(Composition::kText); }, [&] { return clip(Composition::kPseudoWord); }};
  for (const auto& make : systems) {
    const TaskReport report =
        evaluate("cirr", {{"data", folder_ / "cirr"}, {"images", folder_ / "data/images"}}, make);
    SCOPED_TRACE(report.system.dump());
    const auto system = make();
    const Place place =
        place_of(system->queries(query, "cirr").vectors[0], system->images(gallery, "cirr").vectors,
                 [](int64_t i) { return i == 1; });
    expect_places(report.histograms[0].ranks, *report.find("cirr_recall@1"), {place});
    expect_places(report.histograms[0].ranks, *report.find("cirr_subset_recall@1"), {place});
  }
}

TEST_F(SystemsGoldenTest, ASecondRunComputesNothingAnew) {
  std::vector<Vectors> vectors;
  for (int run = 0; run < 2; ++run) {
    uint64_t num_computed = 0;
    options_.on_progress = [&](const std::string& what, uint64_t, uint64_t) {
      num_computed += what != "read";
    };
    const auto system = e5v();
    const RetrievalSet set = load_retrieval({.path = folder_ / "data"});
    vectors.push_back(system->images(set.images, "retrieval").vectors);
    vectors.push_back(system->texts(set.captions, "retrieval").vectors);
    EXPECT_EQ(num_computed, run == 0 ? 9u : 0u);
  }
  EXPECT_EQ(vectors[0].values, vectors[2].values);
  EXPECT_EQ(vectors[1].values, vectors[3].values);
}

TEST_F(SystemsGoldenTest, AnotherPromptIsAnotherVector) {
  const std::vector<std::string> text = {"a red ball"};
  const Vectors usual = e5v()->texts(text, "retrieval").vectors;
  const auto other = make_e5v_system(
      {.model = kGoldens / "end_to_end_tiny", .precision = Precision::kFloat32, .device = "cpu"},
      options_, {.name = "plain", .text = "<sent>"});
  EXPECT_NE(other->texts(text, "retrieval").vectors.values, usual.values);
  EXPECT_EQ(other->describe()["prompts"], "plain");
}

TEST_F(SystemsGoldenTest, AQueryCanBeMadeOfItsParts) {
  const std::vector<EvalImage> image = {
      {.id = "ball", .path = fs::path(E5V_SOURCE_DIR) / "examples/pictures/ball.png"}};
  const std::vector<std::string> text = {"is big"};
  const std::vector<ComposedQuery> queries = {{.reference = image[0], .captions = text}};
  const auto query_of = [&](Composition composition) {
    return make_parts_system(e5v(), composition)->queries(queries, "cirr").vectors.values;
  };
  const std::vector<float> picture = e5v()->images(image, "cirr").vectors.values;
  const std::vector<float> words = e5v()->texts(text, "retrieval").vectors.values;
  EXPECT_EQ(query_of(Composition::kImage), picture);
  EXPECT_EQ(query_of(Composition::kText), words);
  const std::vector<float> sum = query_of(Composition::kSum);
  double length = 0;
  for (size_t i = 0; i < sum.size(); ++i) length += std::pow(picture[i] + words[i], 2);
  for (size_t i = 0; i < sum.size(); ++i) {
    EXPECT_NEAR(sum[i], (picture[i] + words[i]) / std::sqrt(length), 1e-6);
  }
  EXPECT_THROW(make_parts_system(e5v(), Composition::kWhole), InputError);
}

TEST_F(SystemsGoldenTest, SearlesSentenceCanBeAnother) {
  const std::vector<ComposedQuery> queries = {
      {.reference = {.id = "ball", .path = fs::path(E5V_SOURCE_DIR) / "examples/pictures/ball.png"},
       .captions = {"is big"}}};
  const auto vectors_of = [&](const std::string& sentence) {
    searle_template_ = sentence;
    return clip(Composition::kPseudoWord)->queries(queries, "cirr").vectors.values;
  };
  const std::vector<float> usual = vectors_of("a photo of $ that <sent>");
  EXPECT_EQ(vectors_of("a photo of $ that <sent>"), usual);
  EXPECT_NE(vectors_of("<sent>: $"), usual);
  EXPECT_THROW(vectors_of("a photo of $"), ConfigError);
  EXPECT_THROW(vectors_of("<sent>"), ConfigError);
}

TEST_F(SystemsGoldenTest, TwoCaptionsAreAddedInBothOrders) {
  const auto system = e5v();
  const EvalImage image{.id = "ball", .path = folder_ / "data/images/ball.png", .drawn_text = {}};
  const std::vector<ComposedQuery> both = {{image, {"is red", "longer"}}};
  const std::vector<ComposedQuery> swapped = {{image, {"longer", "is red"}}};
  const Vectors a = system->queries(both, "fashioniq-dress").vectors;
  const Vectors b = system->queries(swapped, "fashioniq-dress").vectors;
  EXPECT_NEAR(cosine(a[0], b[0]), 1, 1e-6);
  // The states are added as they are, and their sum is made to be of length 1.
  const Embedder embedder({.model = kGoldens / "end_to_end_tiny",
                           .precision = Precision::kFloat32,
                           .device = "cpu",
                           .normalize = false,
                           .prepare = {.task = "fashioniq-dress"}});
  std::vector<Item> items(2);
  items[0].text = "is red, longer";
  items[1].text = "longer, is red";
  for (Item& item : items) item.images = {image.path};
  const auto states = embedder.embed(items);
  Vectors sum;
  sum.append(states[0]);
  for (size_t d = 0; d < states[1].size(); ++d) sum[0][d] += states[1][d];
  normalize(sum, "states");
  for (size_t d = 0; d < sum[0].size(); ++d) EXPECT_NEAR(a[0][d], sum[0][d], 1e-6);
}

TEST_F(SystemsGoldenTest, ADamagedPictureIsNamed) {
  write_file(folder_ / "data/images/ball.png", "no picture");
  try {
    evaluate("retrieval", data_, [&] { return clip(); });
    FAIL() << "expected an error";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("ball.png"));
  }
  OptionValues skipping = data_;
  skipping["on-error"] = "skip";
  const TaskReport report = evaluate("retrieval", skipping, [&] { return e5v(); });
  EXPECT_EQ(report.data["images"], 3);
  EXPECT_EQ(report.skipped.size(), 1u);
}

TEST_F(SystemsGoldenTest, VectorsOfAnotherProgramAreScoredWithoutItsPictures) {
  fs::remove_all(folder_ / "data/images");
  const auto write = [&](const char* name, const std::vector<float>& values, int64_t dimensions) {
    NpyWriter writer(folder_ / name, NpyType::kFloat32, {dimensions});
    writer.append(std::span<const float>(values));
    writer.commit();
    return folder_ / name;
  };
  const auto images = write("i.npy", {1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 4}, 4);
  const auto texts =
      write("t.npy", {1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0}, 4);
  const auto run = [&](const VectorFiles& files) {
    return evaluate("retrieval", data_, [&] { return make_vectors_system(files); });
  };
  const TaskReport report = run({.texts = texts, .images = images, .queries = {}});
  // The last caption, of the fourth picture, has the third one's vector.
  EXPECT_EQ(report.find("image_retrieval_recall@1")->value, 80);
  EXPECT_EQ(report.find("text_retrieval_recall@1")->value, 75);
  const auto few = write("few.npy", {1, 0, 0, 0}, 4);
  EXPECT_THROW(run({.texts = few, .images = images, .queries = {}}), InputError);
  EXPECT_THROW(run({.texts = texts, .images = texts, .queries = {}}), InputError);  // one too many
  EXPECT_THROW(run({.texts = texts, .images = {}, .queries = {}}), ConfigError);
  const auto broken = write("nan.npy", std::vector<float>(20, std::nanf("")), 4);
  EXPECT_THROW(run({.texts = broken, .images = images, .queries = {}}), InputError);
}

TEST(LanguageHeadGoldenTest, SaysTheWordsOfTheLargestProducts) {
  const LanguageHead head(kGoldens / "end_to_end_tiny");
  const at::Tensor weight =
      read_tensors(kGoldens / "end_to_end_tiny/model.safetensors")["language_model.lm_head.weight"];
  const at::Tensor state = at::cos(at::arange(weight.size(1), at::kFloat) * 3) * 2;
  const std::vector<float> values(state.data_ptr<float>(), state.data_ptr<float>() + state.numel());
  const auto words = head.top_words(values, 4);
  const at::Tensor logits = at::mv(weight.to(at::kFloat), state);
  const at::Tensor order = logits.argsort(0, /*descending=*/true);
  ASSERT_EQ(words.size(), 4u);
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(words[static_cast<size_t>(i)].id, order[i].item<int64_t>());
    EXPECT_NEAR(words[static_cast<size_t>(i)].probability,
                at::softmax(logits, 0)[order[i].item<int64_t>()].item<double>(), 1e-6);
  }
  EXPECT_THROW(head.top_words(std::vector<float>(3), 4), InputError);
}

TEST_F(SystemsGoldenTest, RealPhotosWithRealCaptionsRunThroughAllThreeSystems) {
  E5V_NEEDS_SHARED_DATA("retrieval/coco_mini");
  const OptionValues data = {{"data", shared_data("retrieval/coco_mini/captions_val2017.json")},
                             {"images", shared_data("retrieval/coco_mini/images/val2017")},
                             {"on-error", "skip"}};  // of its 79 pictures 25 may be passed on
  const TaskReport a = evaluate("retrieval", data, [&] { return e5v(); });
  const TaskReport b = evaluate("retrieval", data, [&] { return clip(); });
  EXPECT_EQ(a.data["images"], 25);
  EXPECT_EQ(a.data["captions"], 125);
  EXPECT_EQ(b.data, a.data);
  EXPECT_EQ(a.skipped.size(), 54u);
}

TEST_F(SystemsGoldenTest, ComposedRetrievalOverRealAnnotationsRunsOnDrawnPictures) {
  E5V_NEEDS_SHARED_DATA("cir/cirr");
  // The first queries of CIRR's validation split, pictures drawn under their names.
  fs::create_directories(folder_ / "c/captions");
  fs::create_directories(folder_ / "c/image_splits");
  Json queries = read_json(shared_data("cir/cirr/captions/cap.rc2.val.json"));
  queries.erase(queries.begin() + 5, queries.end());
  const Json all = read_json(shared_data("cir/cirr/image_splits/split.rc2.val.json"));
  Json pictures = Json::object();
  for (const Json& query : queries) {
    for (const Json& id : query["img_set"]["members"]) {
      const std::string name = id.get<std::string>();
      pictures[name] = all[name];
      draw_picture(folder_ / ("c/dev/" + name + ".png"));
    }
  }
  write_file(folder_ / "c/captions/cap.rc2.val.json", queries.dump());
  write_file(folder_ / "c/image_splits/split.rc2.val.json", pictures.dump());
  const TaskReport report =
      evaluate("cirr", {{"data", folder_ / "c"}}, [&] { return clip(Composition::kPseudoWord); });
  EXPECT_EQ(report.data["queries"], 5);
  EXPECT_EQ(report.data["gallery"], pictures.size());
  EXPECT_TRUE(report.skipped.empty());
}

}  // namespace
}  // namespace e5v::detail
