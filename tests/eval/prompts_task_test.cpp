#include "e5v/eval/prompts_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/eval/eval_support.h"

namespace e5v::detail {
namespace {

TEST(EvaluatePromptsTest, GivesEachVariantsFiguresAndTheirSpread) {
  const TemporaryFolder folder;
  write_file(folder / "captions.tsv", "0.png\tcaption 0\n1.png\tcaption 1\n2.png\tcaption 2\n");
  const Protocol& retrieval = *find_protocol("retrieval");
  const auto evaluation = retrieval.make_evaluation();
  {
    OptionSetter setter({{"data", folder / "captions.tsv"}});
    evaluation->register_options(setter);
  }
  const auto system_whose_captions_say = [](std::vector<size_t> images) {
    return [images] {
      return std::make_unique<FakeSystem>([images](const std::string& key) {
        if (key.ends_with(".png")) return one_hot(static_cast<size_t>(key[0] - '0'), 3);
        return one_hot(images[static_cast<size_t>(key.back() - '0')], 3);
      });
    };
  };
  const TaskReport report =
      evaluate_prompts(retrieval, *evaluation,
                       {{"all right", "", system_whose_captions_say({0, 1, 2})},
                        {"one right", "", system_whose_captions_say({0, 0, 0})},
                        {"two right", "", system_whose_captions_say({0, 1, 1})}});
  EXPECT_NEAR(report.find("image_retrieval_recall@1[all right]")->value, 100, 1e-9);
  EXPECT_NEAR(report.find("image_retrieval_recall@1[one right]")->value, 100 / 3.0, 1e-9);
  EXPECT_NEAR(report.find("image_retrieval_recall@1[two right]")->value, 200 / 3.0, 1e-9);
  EXPECT_NEAR(report.find("image_retrieval_recall@1_spread")->value, 200 / 3.0, 1e-9);
  EXPECT_EQ(report.task, "prompts");
  EXPECT_EQ(report.data["task"], "retrieval");
}

TEST(LoadPromptsTest, ReadsThemFromAList) {
  const TemporaryFolder folder;
  write_file(folder / "p.json", R"([{"name": "a", "text": "<sent>!", "image": "<image>!"}])");
  EXPECT_EQ(load_prompts(folder / "p.json")[0].text, "<sent>!");
  write_file(folder / "p.json", R"([{"name": "a"}, {"name": "a"}])");
  EXPECT_THROW(load_prompts(folder / "p.json"), FormatError);
  write_file(folder / "p.json", R"({})");
  EXPECT_THROW(load_prompts(folder / "p.json"), FormatError);
}

}  // namespace
}  // namespace e5v::detail
