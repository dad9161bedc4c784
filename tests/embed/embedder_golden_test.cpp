#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <algorithm>
#include <random>

#include "e5v/embed/embedder.h"
#include "tests/support/golden.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;

/// The whole way, from a user's folder and items to vectors.
class EmbedderGoldenTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    golden_ = new Golden(load_golden("end_to_end_tiny"));
    folder_ = golden_->file("config.json").parent_path();
    embedder_ = new Embedder(options());
    ItemInput input = open_items(folder_ / "items.jsonl");
    while (auto read = input.next()) items_.push_back(read->item);
  }
  static void TearDownTestSuite() {
    delete embedder_;
    delete golden_;
    items_.clear();
  }

  static EmbedderOptions options() {
    EmbedderOptions options;
    options.model = folder_;
    options.precision = Precision::kFloat32;
    options.device = "cpu";
    options.prepare.decode.apply_exif_orientation = false;
    return options;
  }

  static at::Tensor as_tensor(const std::vector<float>& vector) {
    return at::tensor(at::ArrayRef<float>(vector));
  }

  static inline Golden* golden_ = nullptr;
  static inline Embedder* embedder_ = nullptr;
  static inline std::filesystem::path folder_;
  static inline std::vector<Item> items_;
};

TEST_F(EmbedderGoldenTest, EveryItemEqualsTheReference) {
  ASSERT_EQ(items_.size(), 19);
  for (const Item& item : items_) {
    if (item.id == "jpeg") continue;  // its pixels depend on the JPEG library: jpeg_decoded is it
    const auto vectors = embedder_->embed(std::vector{item});
    EXPECT_THAT(as_tensor(vectors[0]), AllClose(golden_->expected(item.id + ".embedding"),
                                                golden_->tolerance("embedding")))
        << item.id;
  }
}

// scripts/gpu-check.sh runs it where there is a GPU.
TEST_F(EmbedderGoldenTest, OnCudaEveryItemStaysNearTheReference) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device, or a libtorch without CUDA";
  for (const auto& [precision, least_cosine] : {std::pair{Precision::kFloat32, 0.99999},
                                                {Precision::kBFloat16, 0.999},
                                                {Precision::kFloat16, 0.9999}}) {
    EmbedderOptions on_cuda = options();
    on_cuda.device = "cuda";
    on_cuda.precision = precision;
    const Embedder embedder(on_cuda);
    for (const Item& item : items_) {
      if (item.id == "jpeg") continue;
      const at::Tensor vector = as_tensor(embedder.embed(std::vector{item})[0]);
      EXPECT_GE(vector.dot(golden_->expected(item.id + ".embedding")).item<double>(), least_cosine)
          << item.id << " in " << precision_name(precision);
    }
  }
}

TEST_F(EmbedderGoldenTest, TokensEqualTheReferences) {
  for (const Json& expected : golden_->description()["items"]) {
    const auto found = std::find_if(items_.begin(), items_.end(), [&](const Item& item) {
      return item.id == expected["id"].get<std::string>();
    });
    ASSERT_NE(found, items_.end());
    PreparedItem prepared = embedder_->preparer().prepare(*found, {});
    EXPECT_EQ(prepared.num_tokens(), expected["length"].get<int64_t>()) << found->id;
    // Without the features' places, what remains are the text's tokens.
    std::vector<int64_t> ids = expected["input_ids"], text;
    const int64_t image_token =
        embedder_->architecture().image_token_id(embedder_->preparer().tokenizer());
    std::erase(ids, image_token);
    std::erase(prepared.input_ids, kImageFeature);
    EXPECT_EQ(prepared.input_ids, ids) << found->id;
  }
}

TEST_F(EmbedderGoldenTest, AVectorIsTheSameBitsInAnyCompany) {
  // 57 items in a random order, in batches of several budgets, against each alone.
  std::vector<size_t> order;
  for (size_t i = 0; i < 3 * items_.size(); ++i) order.push_back(i % items_.size());
  std::shuffle(order.begin(), order.end(), std::mt19937(5));
  std::vector<std::vector<float>> alone;
  for (const Item& item : items_) alone.push_back(embedder_->embed(std::vector{item})[0]);
  for (const int64_t budget : {1, 700, 1 << 20}) {
    EmbedderOptions batched = options();
    batched.batch_tokens = budget;
    const Embedder embedder(batched);
    std::vector<Item> shuffled;
    for (const size_t i : order) shuffled.push_back(items_[i]);
    const auto vectors = embedder.embed(shuffled);
    for (size_t k = 0; k < order.size(); ++k) {
      EXPECT_EQ(vectors[k], alone[order[k]]) << items_[order[k]].id << " at budget " << budget;
    }
  }
}

TEST_F(EmbedderGoldenTest, DimensionsAreTheFirstOnesNormalisedAgain) {
  EmbedderOptions cut = options();
  cut.dimensions = 8;
  const Embedder embedder(cut);
  EXPECT_EQ(embedder.dimensions(), 8);
  const at::Tensor whole = as_tensor(embedder_->embed(std::vector{items_[0]})[0]);
  const at::Tensor first = whole.narrow(0, 0, 8);
  EXPECT_THAT(as_tensor(embedder.embed(std::vector{items_[0]})[0]),
              AllClose(first / first.norm(), 1e-6));
}

TEST_F(EmbedderGoldenTest, ControlTokensInATextAreOrdinaryCharactersUnlessAllowed) {
  Item item;
  item.text = "a <|eot_id|> b <image> c";
  const auto safe = embedder_->preparer().prepare(item, {});
  const auto eot = *embedder_->preparer().tokenizer().token_to_id("<|eot_id|>");
  EXPECT_EQ(std::count(safe.input_ids.begin(), safe.input_ids.end(), eot), 1);  // the template's
  PrepareOptions allowed;
  allowed.allow_special = true;
  EXPECT_THROW(embedder_->preparer().prepare(item, allowed), InputError);  // <image> without image
  item.text = "a <|eot_id|> b";
  const auto open = embedder_->preparer().prepare(item, allowed);
  EXPECT_EQ(std::count(open.input_ids.begin(), open.input_ids.end(), eot), 2);
}

TEST_F(EmbedderGoldenTest, ATextThatIsTooLongIsRefusedOrCutToTheLimit) {
  Item item;
  item.text = "";
  for (int i = 0; i < 4000; ++i) *item.text += "snöw dog ";
  const int64_t limit = embedder_->architecture().text().max_position_embeddings;
  try {
    embedder_->preparer().prepare(item, {});
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("--truncate"));
  }
  PrepareOptions cut;
  cut.truncate = true;
  const PreparedItem prepared = embedder_->preparer().prepare(item, cut);
  EXPECT_LE(prepared.num_tokens(), limit);
  EXPECT_GT(prepared.num_tokens(), limit - 8);
  // The prompt's end is there.
  const PreparedItem brief = embedder_->preparer().prepare(items_[0], {});
  EXPECT_TRUE(
      std::equal(brief.input_ids.end() - 12, brief.input_ids.end(), prepared.input_ids.end() - 12));
}

TEST_F(EmbedderGoldenTest, AStreamReportsBadItemsInOrderAndGoesOn) {
  Item missing;
  missing.id = "missing";
  missing.images.emplace_back(std::filesystem::path("no/such.png"));
  Item empty;
  empty.id = "empty";
  std::vector<Item> items = {missing, items_[0], empty, items_[1]};
  size_t next = 0;
  std::vector<std::string> seen;
  embedder_->embed_stream(
      [&]() -> std::optional<ReadItem> {
        if (next == items.size()) return std::nullopt;
        return ReadItem{.item = items[next++], .error = {}};
      },
      [&](uint64_t index, const Item& item, std::span<const float>) {
        seen.push_back(std::to_string(index) + " " + item.id);
      },
      [&](uint64_t index, const Item& item, const Error& error) {
        seen.push_back(std::to_string(index) + " " + item.id + " failed");
        EXPECT_STRNE(error.what(), "");
      });
  EXPECT_THAT(seen,
              testing::ElementsAre("0 missing failed", "1 caption", "2 empty failed", "3 unicode"));
}

TEST_F(EmbedderGoldenTest, WithoutAnErrorSinkTheFirstBadItemIsNamed) {
  Item bad;
  bad.id = "cat";
  bad.images.emplace_back(std::filesystem::path("no/such.png"));
  try {
    embedder_->embed(std::vector{items_[0], bad});
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("item 2 ('cat'): no/such.png: cannot open"));
  }
}

TEST_F(EmbedderGoldenTest, ExceptionsOfSourceAndSinkEndTheStream) {
  const auto source = [&]() -> std::optional<ReadItem> { throw std::runtime_error("source"); };
  const auto sink = [](uint64_t, const Item&, std::span<const float>) {};
  EXPECT_THROW(embedder_->embed_stream(source, sink), std::runtime_error);
  const auto endless = [&]() { return std::optional(ReadItem{.item = items_[0], .error = {}}); };
  const auto full = [](uint64_t, const Item&, std::span<const float>) {
    throw FileError("out.npy", "cannot write", "No space left on device");
  };
  EXPECT_THROW(embedder_->embed_stream(endless, full), FileError);
}

TEST_F(EmbedderGoldenTest, TheProcessKeepsItsThreadsUnlessOthersAreAskedFor) {
  const int before = at::get_num_threads();
  at::set_num_threads(3);
  EmbedderOptions asking = options();
  const Embedder leaving(asking);
  EXPECT_EQ(at::get_num_threads(), 3);
  asking.threads = 1;
  const Embedder setting(asking);
  EXPECT_EQ(at::get_num_threads(), 1);
  at::set_num_threads(before);
}

TEST_F(EmbedderGoldenTest, OptionsAreChecked) {
  const auto with = [&](auto change) {
    EmbedderOptions changed = options();
    change(changed);
    return changed;
  };
  EXPECT_THROW(Embedder(with([](auto& o) { o.dimensions = 100000; })), ConfigError);
  EXPECT_THROW(Embedder(with([](auto& o) { o.dimensions = -1; })), ConfigError);
  EXPECT_THROW(Embedder(with([](auto& o) { o.batch_tokens = 0; })), ConfigError);
  EXPECT_THROW(Embedder(with([](auto& o) { o.device = "tpu"; })), ConfigError);
  EXPECT_THROW(Embedder(with([](auto& o) { o.prepare.task = "sing"; })), ConfigError);
}

}  // namespace
}  // namespace e5v::detail
