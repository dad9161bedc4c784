// Each protocol with each system, on small models, from files to report.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "e5v/base/error.h"
#include "e5v/base/npy.h"
#include "e5v/eval/language_head.h"
#include "e5v/eval/report.h"
#include "e5v/eval/retrieval.h"
#include "e5v/eval/tasks.h"
#include "tests/eval/eval_support.h"
#include "tests/support/golden.h"

namespace e5v {
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
    task_.task = "retrieval";
    task_.data = folder_ / "data";
  }

  std::unique_ptr<System> e5v() const {
    return make_e5v_system(
        {.model = kGoldens / "end_to_end_tiny", .precision = Precision::kFloat32, .device = "cpu"},
        options_);
  }
  std::unique_ptr<System> clip(Composition composition = Composition::kSum) const {
    ClipEmbedderOptions clip{.model = folder_ / "clip"};
    if (composition == Composition::kPseudoWord) clip.phi = kGoldens / "clip_tiny/phi.safetensors";
    return make_clip_system(clip, composition, options_);
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
  TaskOptions task_;
};

TEST_F(SystemsGoldenTest, EverySystemRunsRetrievalAndDrawnCaptions) {
  for (const char* task : {"retrieval", "i2i"}) {
    task_.task = task;
    for (const bool is_clip : {false, true}) {
      const TaskReport report = run_task(task_, [&] { return is_clip ? clip() : e5v(); });
      EXPECT_EQ(report.find("text_retrieval_recall@10")->value, 100);
      EXPECT_EQ(report.data["captions"], 5);
      write_report(folder_ / "report", report);
      EXPECT_TRUE(fs::exists(folder_ / "report/report.html"));
    }
  }
}

TEST_F(SystemsGoldenTest, EverySystemRunsComposedRetrieval) {
  write_cirr();
  task_.task = "cirr";
  task_.data = folder_ / "cirr";
  task_.images = folder_ / "data/images";
  const std::vector<std::function<std::unique_ptr<System>()>> systems = {
      [&] { return e5v(); }, [&] { return clip(); }, [&] { return clip(Composition::kImage); },
      [&] { return clip(Composition::kText); }, [&] { return clip(Composition::kPseudoWord); }};
  for (const auto& make : systems) {
    const TaskReport report = run_task(task_, make);
    EXPECT_EQ(report.find("cirr_recall@5")->value, 100) << report.system.dump();
    EXPECT_EQ(report.find("cirr_subset_recall@3")->value, 100);
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
    options_.searle_template = sentence;
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
  // Normalised after the sum of the states, not before.
  const std::vector<ComposedQuery> one = {{image, {"is red, longer"}}, {image, {"longer, is red"}}};
  const Vectors parts = system->queries(one, "fashioniq-dress").vectors;
  EXPECT_GT(cosine(a[0], parts[0]), 0.5);
}

TEST_F(SystemsGoldenTest, ADamagedPictureIsNamed) {
  write_file(folder_ / "data/images/ball.png", "no picture");
  try {
    run_task(task_, [&] { return clip(); });
    FAIL() << "expected an error";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("ball.png"));
  }
  task_.on_missing = OnMissing::kSkip;
  const TaskReport report = run_task(task_, [&] { return e5v(); });
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
      write("t.npy", {1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, 4);
  const auto run = [&](const VectorFiles& files) {
    return run_task(task_, [&] { return make_vectors_system(files); });
  };
  const TaskReport report = run({.texts = texts, .images = images, .queries = {}});
  EXPECT_EQ(report.find("image_retrieval_recall@1")->value, 100);
  EXPECT_EQ(report.find("text_retrieval_recall@1")->value, 100);
  const auto few = write("few.npy", {1, 0, 0, 0}, 4);
  EXPECT_THROW(run({.texts = few, .images = images, .queries = {}}), InputError);
  EXPECT_THROW(run({.texts = texts, .images = texts, .queries = {}}), InputError);  // one too many
  EXPECT_THROW(run({.texts = texts, .images = {}, .queries = {}}), ConfigError);
  const auto broken = write("nan.npy", std::vector<float>(20, std::nanf("")), 4);
  EXPECT_THROW(run({.texts = broken, .images = images, .queries = {}}), InputError);
}

TEST_F(SystemsGoldenTest, PromptsAreTriedOneAfterTheOther) {
  const TaskReport report =
      run_variants(task_, {{"a", [&] { return e5v(); }}, {"b", [&] { return clip(); }}});
  EXPECT_NE(report.find("image_retrieval_recall@1[a]"), nullptr);
  EXPECT_NE(report.find("image_retrieval_recall@1[b]"), nullptr);
  EXPECT_GE(report.find("image_retrieval_recall@1_spread")->value, 0);
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
  task_.data = shared_data("retrieval/coco_mini/captions_val2017.json");
  task_.images = shared_data("retrieval/coco_mini/images/val2017");
  task_.on_missing = OnMissing::kSkip;  // of its 79 pictures 25 may be passed on
  const TaskReport a = run_task(task_, [&] { return e5v(); });
  const TaskReport b = run_task(task_, [&] { return clip(); });
  EXPECT_EQ(a.data["images"], 25);
  EXPECT_EQ(a.data["captions"], 125);
  EXPECT_EQ(b.data, a.data);
  EXPECT_EQ(a.skipped.size(), 54u);
}

TEST_F(SystemsGoldenTest, ComposedRetrievalOverRealAnnotationsRunsOnDrawnPictures) {
  E5V_NEEDS_SHARED_DATA("cir/cirr");
  // The first queries of CIRR's validation split, pictures drawn under their names.
  task_.task = "cirr";
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
  task_.data = folder_ / "c";
  const TaskReport report = run_task(task_, [&] { return clip(Composition::kPseudoWord); });
  EXPECT_EQ(report.data["queries"], 5);
  EXPECT_EQ(report.find("cirr_recall@50")->value, 100);
}

}  // namespace
}  // namespace e5v
