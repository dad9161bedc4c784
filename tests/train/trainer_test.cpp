#include "e5v/train/trainer.h"

#include <ATen/Parallel.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <thread>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/embed/embedder.h"
#include "e5v/nn/tensor_file.h"
#include "e5v/train/grad_cache.h"
#include "e5v/train/objectives/contrastive.h"
#include "e5v/train/training_batch.h"
#include "e5v/train/training_model.h"
#include "tests/support/golden.h"
#include "tests/support/temporary_folder.h"

extern char** environ;

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;

std::filesystem::path tiny_model() {
  return load_golden("end_to_end_tiny").file("config.json").parent_path();
}

/// Of a run that may not have begun yet.
std::vector<double> losses_of(const std::filesystem::path& run) {
  std::vector<double> losses;
  for (const Json& one : RunFolder(run).metrics()) losses.push_back(one["loss"]);
  return losses;
}

at::Tensor flattened(const std::map<std::string, at::Tensor>& tensors) {
  std::vector<at::Tensor> pieces;
  for (const auto& [name, tensor] : tensors) pieces.push_back(tensor.reshape(-1));
  return at::cat(pieces);
}

at::Tensor adapter_of(const std::filesystem::path& run) {
  return flattened(read_tensor_file(run / "adapter_model.safetensors"));
}

double cosine(const at::Tensor& a, const at::Tensor& b) {
  return (a.dot(b) / (a.norm() * b.norm())).item<double>();
}

double relative_error(const at::Tensor& value, const at::Tensor& expected) {
  return ((value - expected).norm() / expected.norm()).item<double>();
}

/// The run of the golden train_steps, and variations of it.
class TrainerGoldenTest : public ::testing::Test {
 protected:
  TrainerGoldenTest() : golden_(load_golden("train_steps")) {
    at::set_num_threads(1);  // so small a model gains nothing from more, and results are the same
    apply_recipe(golden_.description()["options"], "golden.json", options_);
    options_.save_every = 0;
    files_.model = tiny_model();
    files_.data = golden_.file("triplets.csv");
    files_.adapter = golden_.file("adapter/adapter_config.json").parent_path();
  }

  /// Trains into a new folder of that name.
  std::filesystem::path train(const std::string& name) {
    files_.output = folder_ / name;
    ProcessGroup alone;
    summary_ = Trainer(files_, options_, alone).run();
    return files_.output;
  }
  std::string error_of(const std::string& name) {
    try {
      train(name);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  Golden golden_;
  TemporaryFolder folder_;
  TrainFiles files_;
  ContrastiveTrainOptions options_;
  TrainSummary summary_;
};

class TrainerModesGoldenTest : public TrainerGoldenTest,
                               public ::testing::WithParamInterface<const char*> {};

TEST_P(TrainerModesGoldenTest, TenStepsEqualTheReference) {
  const std::string mode = GetParam();
  const Json expected = golden_.description()["modes"][mode];
  const Json tolerance = golden_.description()["tolerance"];
  apply_recipe({{"prompts", mode}}, "test", options_);
  const auto run = train(mode);
  const auto metrics = RunFolder(run).metrics();
  ASSERT_EQ(metrics.size(), 10u);
  for (size_t i = 0; i < metrics.size(); ++i) {
    const double loss = expected["losses"][i];
    EXPECT_NEAR(metrics[i]["loss"], loss, tolerance["loss_relative"].get<double>() * loss) << i;
    const double norm = expected["grad_norms"][i];
    EXPECT_NEAR(metrics[i]["grad_norm"], norm, tolerance["gradient_relative"].get<double>() * norm);
    EXPECT_NEAR(metrics[i]["lr"], expected["rates"][i], 1e-12);
  }
  EXPECT_GE(cosine(adapter_of(run), golden_.expected(mode + ".final")),
            tolerance["final_cosine"].get<double>());
}

TEST_P(TrainerModesGoldenTest, GradientsOfTheFirstStepEqualTheReference) {
  const std::string mode = GetParam();
  apply_recipe({{"prompts", mode}}, "test", options_);
  for (const bool checkpointing : {false, true}) {
    options_.model.gradient_checkpointing = checkpointing;
    const ItemPreparer preparer(files_.model);
    const TrainingPrompt prompt(preparer, options_.prompt, options_.model.chat(preparer));
    const TrainingModel model(files_.model, options_.model, options_.seed,
                              /*with_pictures=*/false, files_.adapter);
    const TripletFile data(files_.data);
    const std::vector<TrainingRows> parts = {prepare_rows(data, {0, 1, 2, 3}, prompt),
                                             prepare_rows(data, {4, 5, 6, 7}, prompt)};
    EXPECT_EQ(prompt.prepare(data.row(0).anchor).input_ids,
              golden_.description()["modes"][mode]["ids"].get<std::vector<int64_t>>());
    ProcessGroup alone;
    accumulate_gradients(
        2,
        [&](int64_t i) {
          return model.encode(pack_rows(parts[static_cast<size_t>(i)], preparer), nullptr);
        },
        [&](const at::Tensor& all) {
          const at::Tensor grid = all.view({2, 3, 4, -1});
          const auto kind = [&](int64_t k) { return grid.select(1, k).flatten(0, 1); };
          return contrastive_loss(kind(0), kind(1), kind(2), at::arange(8, at::kLong), {});
        },
        alone);
    std::map<std::string, at::Tensor> gradients;
    for (const Parameter& parameter : model.parameters()) {
      gradients[parameter.name] = parameter.value.grad();
    }
    EXPECT_LT(relative_error(flattened(gradients), golden_.expected(mode + ".gradients")), 1e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, TrainerModesGoldenTest, ::testing::Values("clean", "paper-code"),
                         [](const auto& mode) {
                           return std::string(mode.param) == "clean" ? "Clean" : "PaperCode";
                         });

TEST_F(TrainerGoldenTest, MicroBatchesAndCheckpointingDoNotChangeTheRun) {
  options_.micro_batch_size = 8;
  options_.model.gradient_checkpointing = false;
  options_.model.lora.lora_dropout = 0.2;
  const auto whole = train("whole");
  options_.micro_batch_size = 3;
  options_.model.gradient_checkpointing = true;
  const auto parts = train("parts");
  const auto a = losses_of(whole), b = losses_of(parts);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4 * a[i]) << i;
  EXPECT_GT(cosine(adapter_of(whole), adapter_of(parts)), 0.9999);
}

TEST_F(TrainerGoldenTest, AResumedRunGoesOnToTheBit) {
  options_.shuffle = true;
  options_.model.lora.lora_dropout = 0.1;
  const auto whole = train("whole");
  options_.save_every = 3;
  options_.max_steps = 0;
  files_.output = folder_ / "broken";
  ProcessGroup alone;
  TrainCallbacks stop_at_8;
  stop_at_8.on_step = [](const StepMetrics& metrics) {
    if (metrics.step == 8) throw std::runtime_error("stopped");
  };
  EXPECT_THROW(Trainer(files_, options_, alone, stop_at_8).run(), std::runtime_error);
  EXPECT_THAT(error_of("broken"), HasSubstr("--resume"));
  files_.resume = true;
  const auto resumed = train("broken");
  EXPECT_EQ(summary_.first_step, 7);
  EXPECT_EQ(losses_of(resumed), losses_of(whole));
  EXPECT_TRUE(at::equal(adapter_of(resumed), adapter_of(whole)));
}

TEST_F(TrainerGoldenTest, AResumedRunMustHaveTheSameRecipeAndData) {
  options_.save_every = 5;
  train("run");
  files_.resume = true;
  options_.optimizer.learning_rate = 0.5;
  EXPECT_THAT(error_of("run"), HasSubstr("'learning_rate' is 0.5"));
  options_.optimizer.learning_rate = 0.01;
  options_.save_every = 2;  // changes no numbers
  EXPECT_EQ(error_of("run"), "no error");
  write_file(folder_ / "other.csv", read_file(files_.data) + "a,b,c\n");
  files_.data = folder_ / "other.csv";
  EXPECT_THAT(error_of("run"), HasSubstr("'data_digest'"));
}

TEST_F(TrainerGoldenTest, TheAdapterIsWhatEmbeddingLoads) {
  const auto run = train("run");
  EmbedderOptions embed;
  embed.model = files_.model;
  embed.adapter = run;
  embed.precision = Precision::kFloat32;
  std::vector<Item> items(1);
  items[0].text = "A brown dog sleeps on the water .";
  const std::vector<float> embedded = Embedder(embed).embed(items)[0];

  options_.prompt.max_sentence_tokens = 0;
  const ItemPreparer preparer(files_.model);
  const TrainingPrompt prompt(preparer, options_.prompt, options_.model.chat(preparer));
  const TrainingModel model(files_.model, options_.model, options_.seed, false, run);
  TrainingRows rows;
  rows.items.push_back(prompt.prepare({*items[0].text, {}}));
  const at::NoGradGuard no_grad;
  const at::Tensor state = model.encode(pack_rows(rows, preparer), nullptr)[0];
  const at::Tensor direct = state / state.norm();
  for (size_t i = 0; i < embedded.size(); ++i) {
    EXPECT_NEAR(embedded[i], direct[static_cast<int64_t>(i)].item<float>(), 1e-5);
  }
}

TEST_F(TrainerGoldenTest, FrozenWeightsMayBeBfloat16OrNf4) {
  files_.adapter.clear();
  options_.optimizer.learning_rate = 2e-3;
  for (const auto precision : {Precision::kBFloat16, Precision::kNf4}) {
    options_.model.base_precision = precision;
    const auto losses = losses_of(train(precision == Precision::kNf4 ? "nf4" : "bf16"));
    EXPECT_LT(losses.back(), losses.front());
  }
}

TEST_F(TrainerGoldenTest, AWholeLanguageModelIsTrainedByTheSameTrainer) {
  files_.adapter.clear();
  options_.model.trainable = {"language_model"};
  options_.optimizer.learning_rate = 1e-3;
  const auto run = train("run");
  EXPECT_LT(losses_of(run).back(), losses_of(run).front());
  EmbedderOptions embed;
  embed.model = run / "model";
  EXPECT_NO_THROW(Embedder{embed});
  const auto before = read_tensor_file(files_.model / "model.safetensors");
  const auto after = read_tensor_file(run / "model/model.safetensors");
  ASSERT_EQ(before.size(), after.size());
  for (const auto& [name, value] : before) {
    const bool trained = name.starts_with("language_model.model.");
    EXPECT_EQ(at::equal(value, after.at(name)), !trained) << name;
  }
}

TEST_F(TrainerGoldenTest, PicturesTrainTheProjectorAndTheTower) {
  files_.adapter.clear();
  const auto images = files_.model / "images";
  write_file(
      folder_ / "pairs.jsonl",
      fmt::format("{{\"anchor\": {{\"image\": \"{0}/rgb_57x33.png\"}}, \"positive\": \"a\"}}\n"
                  "{{\"anchor\": {{\"image\": \"{0}/wide_150x50.png\"}}, \"positive\": \"b\"}}\n",
                  images.native()));
  files_.data = folder_ / "pairs.jsonl";
  options_.model.trainable = {"projector", "vision_tower"};
  options_.batch_size = 2;
  options_.micro_batch_size = 1;
  options_.epochs = 12;
  options_.optimizer.learning_rate = 3e-3;
  const auto run = train("run");
  EXPECT_LT(losses_of(run).back(), losses_of(run).front());
  const auto before = read_tensor_file(files_.model / "model.safetensors");
  const auto after = read_tensor_file(run / "model/model.safetensors");
  for (const char* name : {"multi_modal_projector.linear_1.weight", "image_newline",
                           "vision_tower.vision_model.embeddings.patch_embedding.weight"}) {
    EXPECT_FALSE(at::equal(before.at(name), after.at(name))) << name;
  }
  files_.data = golden_.file("triplets.csv");
  EXPECT_THAT(error_of("texts"), HasSubstr("no pictures to train it on"));
}

TEST_F(TrainerGoldenTest, SizesThatCannotBeTrainedOnAreRefused) {
  options_.batch_size = 41;
  EXPECT_THAT(error_of("a"), HasSubstr("'batch_size' is 41, but"));
  options_.batch_size = 1;
  write_file(folder_ / "pair.csv", "sent0,sent1\na,b\n");
  files_.data = folder_ / "pair.csv";
  EXPECT_THAT(error_of("b"), HasSubstr("nothing to tell apart"));
}

TEST_F(TrainerGoldenTest, AnAdapterOfAnotherModelNamesTheFirstMismatch) {
  const auto other = load_golden("model_llama_lora");
  const auto original = files_.adapter;
  files_.adapter = other.file("adapter_published/adapter_config.json").parent_path();
  EXPECT_THAT(error_of("layers"), HasSubstr("layers.2.mlp.down_proj', which is not trained"));

  const auto wider = folder_ / "wider";
  std::filesystem::create_directories(wider);
  auto tensors = read_tensor_file(original / "adapter_model.safetensors");
  at::Tensor& A =
      tensors.at("base_model.model.language_model.model.layers.0.mlp.up_proj.lora_A.weight");
  A = at::cat({A, A}, 1);
  write_tensor_file(wider / "adapter_model.safetensors", tensors);
  write_file(wider / "adapter_config.json", read_file(original / "adapter_config.json"));
  files_.adapter = wider;
  EXPECT_THAT(error_of("shape"), HasSubstr("layers.0.mlp.up_proj' updates a ["));
  files_.adapter = original;
  options_.model.lora.lora_rank = 8;
  EXPECT_THAT(error_of("rank"), HasSubstr("has rank 4, but 'lora_rank' is 8"));
}

TEST_F(TrainerGoldenTest, ALossThatIsNotFiniteStopsBeforeAnythingIsDamaged) {
  const auto adapter = folder_ / "nan_adapter";
  std::filesystem::create_directories(adapter);
  auto tensors = read_tensor_file(files_.adapter / "adapter_model.safetensors");
  tensors.begin()->second[0][0] = std::numeric_limits<float>::quiet_NaN();
  write_tensor_file(adapter / "adapter_model.safetensors", tensors);
  write_file(adapter / "adapter_config.json", read_file(files_.adapter / "adapter_config.json"));
  files_.adapter = adapter;
  EXPECT_THAT(error_of("run"), ::testing::AllOf(HasSubstr("step 1: the loss is nan"),
                                                HasSubstr("rows at lines 2, 3")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/adapter_model.safetensors"));
}

// ------------------------------------------------------------------------------ other processes

constexpr const char* kWorkerFiles = "E5V_TRAINER_WORKER";

/// Not a test of its own: what the processes below run. Its settings come in a JSON variable.
TEST(TrainerWorkerGoldenTest, RunsInAProcessOfItsOwn) {
  const char* settings = std::getenv(kWorkerFiles);
  if (settings == nullptr) GTEST_SKIP() << "is started by other tests";
  at::set_num_threads(1);
  const Json json = parse_json(settings, kWorkerFiles);
  TrainFiles files;
  files.model = json["model"].get<std::string>();
  files.data = json["data"].get<std::string>();
  files.output = json["output"].get<std::string>();
  files.adapter = json["adapter"].get<std::string>();
  files.resume = json["resume"];
  ContrastiveTrainOptions options;
  apply_recipe(json["options"], "worker", options);
  ProcessGroup group(RankAddress::from_environment(), /*timeout_s=*/60);
  TrainCallbacks callbacks;
  const int64_t die_at = json["die_at"];
  callbacks.on_step = [&](const StepMetrics& metrics) {
    // Slow enough to be killed in the midst of things.
    if (json["slow"].get<bool>()) std::this_thread::sleep_for(std::chrono::milliseconds(30));
    if (metrics.step == die_at) ::raise(SIGKILL);
  };
  try {
    Trainer(files, options, group, callbacks).run();
  } catch (const Error& error) {
    std::ofstream(files.output / "error.txt") << error.what();
    FAIL() << error.what();
  }
}

class TrainerProcessesGoldenTest : public TrainerGoldenTest {
 protected:
  /// Starts this program again to train with these settings.
  pid_t start(const std::filesystem::path& output, bool slow, bool resume, int rank = 0,
              int world_size = 1, int64_t die_at = 0) {
    const Json settings = {{"model", files_.model.string()},
                           {"data", files_.data.string()},
                           {"output", output.string()},
                           {"adapter", files_.adapter.string()},
                           {"resume", resume},
                           {"slow", slow},
                           {"die_at", die_at},
                           {"options", to_json(options_)}};
    std::vector<std::string> variables = {
        fmt::format("{}={}", kWorkerFiles, settings.dump()), fmt::format("RANK={}", rank),
        fmt::format("WORLD_SIZE={}", world_size), "MASTER_ADDR=127.0.0.1",
        fmt::format("MASTER_PORT={}", port_)};
    std::vector<char*> environment;
    for (std::string& variable : variables) environment.push_back(variable.data());
    for (char** variable = environ; *variable != nullptr; ++variable) {
      environment.push_back(*variable);
    }
    environment.push_back(nullptr);
    std::string filter = "--gtest_filter=TrainerWorkerGoldenTest.*", program = "/proc/self/exe";
    char* arguments[] = {program.data(), filter.data(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    pid_t pid = 0;
    EXPECT_EQ(posix_spawn(&pid, self.c_str(), &actions, nullptr, arguments, environment.data()), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
  }
  static int wait_for(pid_t pid) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    return status;
  }

  int port_ = 20000 + static_cast<int>(::getpid() % 20000);
};

TEST_F(TrainerProcessesGoldenTest, ARunThatIsKilledAgainAndAgainEndsAsIfItHadNotBeen) {
  options_.epochs = 4;
  options_.save_every = 2;
  options_.model.lora.lora_dropout = 0.1;
  const auto whole = train("whole");
  const auto broken = folder_ / "broken";
  for (const size_t num_steps : {3, 8, 13}) {
    const pid_t pid = start(broken, /*slow=*/true, /*resume=*/true);
    // Wherever it is then: computing, writing metrics, or in the midst of a checkpoint.
    while (losses_of(broken).size() < num_steps && ::waitpid(pid, nullptr, WNOHANG) == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    ASSERT_TRUE(WIFSIGNALED(wait_for(pid)));
  }
  ASSERT_LT(losses_of(broken).size(), 20u);
  EXPECT_EQ(wait_for(start(broken, /*slow=*/false, /*resume=*/true)), 0);
  EXPECT_EQ(losses_of(broken), losses_of(whole));
  EXPECT_TRUE(at::equal(adapter_of(broken), adapter_of(whole)));
}

TEST_F(TrainerProcessesGoldenTest, TwoProcessesWithHalfTheBatchTrainTheSameAdapter) {
  options_.model.lora.lora_dropout = 0.1;
  const auto alone = train("alone");
  const auto both = folder_ / "both";
  const pid_t second = start(both, false, false, 1, 2);
  EXPECT_EQ(wait_for(start(both, false, false, 0, 2)), 0);
  EXPECT_EQ(wait_for(second), 0);
  const auto a = losses_of(alone), b = losses_of(both);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4 * a[i]) << i;
  EXPECT_GT(cosine(adapter_of(alone), adapter_of(both)), 0.9999);
}

TEST_F(TrainerProcessesGoldenTest, ARankThatDiesStopsTheOthersAndTheRunResumesWithOneRank) {
  options_.save_every = 2;
  const auto alone = train("alone");
  const auto broken = folder_ / "broken";
  const auto started = std::chrono::steady_clock::now();
  const pid_t second = start(broken, false, false, 1, 2);
  const pid_t first = start(broken, false, false, 0, 2, /*die_at=*/5);
  EXPECT_TRUE(WIFSIGNALED(wait_for(first)));
  const int status = wait_for(second);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 0);
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(100));
  EXPECT_THAT(read_file(broken / "error.txt"), HasSubstr("another rank has ended"));
  files_.resume = true;
  const auto a = losses_of(alone), b = losses_of(train("broken"));
  EXPECT_GE(summary_.first_step, 3);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4 * a[i]) << i;
}

}  // namespace
}  // namespace e5v::detail
