#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "e5v/embed/prepare.h"
#include "e5v/families/load_model.h"
#include "e5v/families/qwen3_vl.h"
#include "e5v/families/registry.h"
#include "tests/support/golden.h"

namespace e5v::detail {
namespace {

/// The picture that the generator draws by a formula.
Image draw(int64_t width, int64_t height) {
  Image image(height, width);
  size_t i = 0;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (int64_t c = 0; c < 3; ++c) {
        const int64_t value =
            x * x * (3 + c) + y * y * 5 + x * y * 7 + 40 * c * (x + y) + ((x ^ y) & 31) * 11;
        image.rgb[i++] = static_cast<uint8_t>((value >> 3) & 255);
      }
    }
  }
  return image;
}

ImageSource golden_picture(const Golden& golden, const std::string& name) {
  const Json& json = golden.description().at("pictures").at(name);
  if (json.contains("file")) return golden.folder() / json.at("file").get<std::string>();
  return draw(json.at("size")[0].get<int64_t>(), json.at("size")[1].get<int64_t>());
}

PreparedItem prepare_item(const Golden& golden, const ItemPreparer& preparer, const Json& json) {
  Item item{.id = json.at("name"), .prompt = json.at("prompt")};
  const std::string text = json.at("text");
  if (!text.empty()) item.text = text;
  for (const auto& name : json.at("images")) item.images.push_back(golden_picture(golden, name));
  return preparer.prepare(item, {});
}

/// Both models, once with plain tensors and once packed. The golden's folder is a model folder.
class Qwen3VlGoldenTest : public testing::TestWithParam<std::tuple<const char*, bool>> {
 protected:
  Qwen3VlGoldenTest() {
    loaded_ = load_model(golden_.folder(),
                         {.precision = Precision::kFloat32, .pack = std::get<1>(GetParam())});
    model_ = dynamic_cast<Qwen3Vl*>(loaded_.get());
  }

  PreparedItem prepare(const Json& json) const { return prepare_item(golden_, preparer_, json); }
  PackedBatch batch_of_picture(const std::string& name) const {
    Item item;
    item.images.push_back(golden_picture(golden_, name));
    const std::vector<PreparedItem> items = {preparer_.prepare(item, {})};
    return preparer_.collate(items);
  }
  void expect_stage(const std::string& name, const at::Tensor& actual) {
    if (!golden_.has_expected(name)) return;
    EXPECT_THAT(actual, AllClose(golden_.expected(name), golden_.tolerance("stages"))) << name;
    ++num_compared_;
  }

  const Golden golden_ = load_golden(std::get<0>(GetParam()));
  const ItemPreparer preparer_{golden_.folder()};
  std::unique_ptr<Model> loaded_;
  Qwen3Vl* model_ = nullptr;
  const at::NoGradGuard no_grad_;
  int num_compared_ = 0;
};

TEST_P(Qwen3VlGoldenTest, IdsAndPositionsEqualTheReference) {
  for (const Json& json : golden_.description().at("items")) {
    SCOPED_TRACE(json.at("name"));
    const std::vector<PreparedItem> items = {prepare(json)};
    std::vector<int64_t> ids = items[0].input_ids;
    std::replace(ids.begin(), ids.end(), kImageFeature, model_->config().image_token_id);
    EXPECT_EQ(ids, json.at("input_ids").get<std::vector<int64_t>>());
    const at::Tensor expected =
        golden_.expected("item." + json.at("name").get<std::string>() + ".position_ids");
    const at::Tensor positions = preparer_.collate(items).position_ids;
    EXPECT_TRUE(at::equal(positions.expand({3, -1}), expected)) << positions;
  }
}

TEST_P(Qwen3VlGoldenTest, PixelValuesEqualTheReference) {
  for (const auto& [name, json] : golden_.description().at("pictures").items()) {
    SCOPED_TRACE(name);
    const PackedBatch batch = batch_of_picture(name);
    const ImageSize grid = batch.images[0].layout.grid.value();
    EXPECT_EQ((std::vector<int64_t>{grid.height, grid.width}),
              json.at("grid").get<std::vector<int64_t>>());
    // Of one frame, by channel; a still is its own next frame.
    const at::Tensor bytes = golden_.expected("image." + name + ".bytes").to(at::kFloat);
    const at::Tensor frame = ((bytes / 255 - 0.5) / 0.5).view({bytes.size(0), 3, 1, -1});
    const at::Tensor expected = frame.expand({-1, 3, 2, -1}).reshape({bytes.size(0), -1});
    EXPECT_THAT(batch.pixel_values, AllClose(expected, {1e-6, 0}));
  }
}

TEST_P(Qwen3VlGoldenTest, TowerStagesEqualTheReference) {
  for (const auto& [name, json] : golden_.description().at("pictures").items()) {
    SCOPED_TRACE(name);
    const std::string prefix = "image." + name + ".";
    const PackedBatch batch = batch_of_picture(name);
    const Qwen3VlFeatures found = model_->visual().forward(
        batch.pixel_values, batch.images, at::kFloat, [&](int64_t layer, const at::Tensor& states) {
          expect_stage(prefix + "states." + std::to_string(layer), states);
        });
    expect_stage(prefix + "features", found.features);
    for (size_t k = 0; k < found.deepstack.size(); ++k) {
      expect_stage(prefix + "deepstack." + std::to_string(k), found.deepstack[k]);
    }
  }
  EXPECT_GE(num_compared_, 10);
}

TEST_P(Qwen3VlGoldenTest, EveryLayerEqualsTheReference) {
  for (const Json& json : golden_.description().at("items")) {
    const std::string prefix = "item." + json.at("name").get<std::string>() + ".";
    SCOPED_TRACE(prefix);
    const std::vector<PreparedItem> items = {prepare(json)};
    const at::Tensor last = model_->forward_observed(
        preparer_.collate(items), [&](int64_t layer, const at::Tensor& states) {
          expect_stage(prefix + "hidden_states." + std::to_string(layer), states);
        });
    EXPECT_THAT(last[0], AllClose(golden_.expected(prefix + "last_hidden_state"),
                                  golden_.tolerance("last_hidden_state")));
  }
  EXPECT_GE(num_compared_, 6);
}

TEST_P(Qwen3VlGoldenTest, AllItemsInOneBatchEqualTheReferenceAndThemselvesAlone) {
  std::vector<PreparedItem> items;
  for (const Json& json : golden_.description().at("items")) items.push_back(prepare(json));
  const at::Tensor states = model_->forward(preparer_.collate(items));
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string name = golden_.description().at("items")[i].at("name");
    const at::Tensor state = states[static_cast<int64_t>(i)];
    EXPECT_THAT(state, AllClose(golden_.expected("item." + name + ".last_hidden_state"),
                                golden_.tolerance("last_hidden_state")))
        << name;
    const at::Tensor alone = model_->forward(preparer_.collate({&items[i], 1}))[0];
    EXPECT_THAT(state, AllClose(alone, {1e-5, 0})) << name;
  }
}

/// Every precision, on all items in one batch: the tower and the text layers are in the form that
/// each asks for. So few dimensions with so large weights lose more than a real model's.
class Qwen3VlPrecisionGoldenTest : public testing::TestWithParam<std::pair<Precision, double>> {};

TEST_P(Qwen3VlPrecisionGoldenTest, StaysNearTheReference) {
  const at::NoGradGuard no_grad;
  const auto [precision, least_cosine] = GetParam();
  const Golden golden = load_golden("model_qwen3_vl");
  const ItemPreparer preparer(golden.folder());
  const auto model = load_model(golden.folder(), {.precision = precision});
  std::vector<PreparedItem> items;
  for (const Json& json : golden.description().at("items")) {
    items.push_back(prepare_item(golden, preparer, json));
  }
  const at::Tensor states = model->forward(preparer.collate(items));
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string name = golden.description().at("items")[i].at("name");
    const at::Tensor expected = golden.expected("item." + name + ".last_hidden_state");
    const double cosine =
        at::cosine_similarity(states[static_cast<int64_t>(i)], expected, 0).item<double>();
    EXPECT_GE(cosine, least_cosine) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Qwen3VlPrecisionGoldenTest,
                         testing::Values(std::pair(Precision::kBFloat16, 0.999),
                                         std::pair(Precision::kInt8, 0.99),
                                         std::pair(Precision::kInt4, 0.95),
                                         std::pair(Precision::kNf4, 0.7)),
                         [](const auto& info) { return precision_name(info.param.first); });

/// Makes every product's weight of plain tensors record, by its name.
struct WeightRecorder final : ParameterVisitor {
  void tensor(const std::string&, at::Tensor&, at::IntArrayRef) override {}
  void linear(const std::string& name, Linear& linear) override {
    weights[name + ".weight"] = linear.storage().dense().set_requires_grad(true);
  }
  std::map<std::string, at::Tensor> weights;
};

TEST(Qwen3VlGradientGoldenTest, GradientsThroughTheLanguageModelEqualAutograds) {
  const Golden golden = load_golden("model_qwen3_vl_5x");
  const ItemPreparer preparer(golden.folder());
  for (const bool recompute : {false, true}) {
    const auto model =
        load_model(golden.folder(), {.precision = Precision::kFloat32, .pack = false});
    model->set_recompute_layers(recompute);
    WeightRecorder recorder;
    model->visit_parameters(recorder);
    int num_compared = 0;
    for (const Json& json : golden.description().at("items")) {
      const std::string item = json.at("name");
      const std::vector<PreparedItem> items = {prepare_item(golden, preparer, json)};
      const at::Tensor state = model->forward(preparer.collate(items))[0];
      (state * at::arange(1, state.size(0) + 1)).sum().backward();
      for (auto& [name, weight] : recorder.weights) {
        const std::string expected = fmt::format("item.{}.gradient.{}", item, name);
        if (golden.has_expected(expected)) {
          const at::Tensor value = golden.expected(expected);
          const double largest = value.abs().max().item<double>();
          EXPECT_THAT(weight.grad(), AllClose(value, {1e-5 * largest, 1e-4})) << expected;
          ++num_compared;
        }
        weight.mutable_grad() = at::Tensor();
      }
    }
    EXPECT_EQ(num_compared, 12);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Qwen3VlGoldenTest,
                         testing::Combine(testing::Values("model_qwen3_vl", "model_qwen3_vl_5x"),
                                          testing::Bool()),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)) +
                                  (std::get<1>(info.param) ? "_packed" : "_plain");
                         });

}  // namespace
}  // namespace e5v::detail
