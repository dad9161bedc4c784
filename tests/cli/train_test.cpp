// train, data and merge from outside: what a user sees where all goes well and where it does not.

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "tests/cli/run_program.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kHeader = "sent0,sent1,hard_neg\n";

class TrainCommandTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(run_e5v("random-model --quiet --preset tiny --output " + model()).status, 0);
    std::string rows = kHeader;
    for (int i = 0; i < 40; ++i) rows += fmt::format("dog {0},cat {0},no {0}\n", i);
    write_file(folder_ / "rows.csv", rows);
  }
  std::string model() const { return (folder_ / "tiny").native(); }
  std::string path(const std::string& name) const { return (folder_ / name).native(); }

  /// The arguments of a run of 40 steps that takes a second or two.
  std::string arguments(const std::string& output, const std::string& data = "rows.csv") const {
    return fmt::format(
        "train --quiet --threads 1 --recipe tiny --batch-size 8 --micro-batch-size 4 --epochs 8 "
        "--save-every 2 --lora-rank 4 --model {} --data {} --output {} ",
        model(), path(data), path(output));
  }
  ProgramResult train(const std::string& output, const std::string& rest = "",
                      const std::string& data = "rows.csv") const {
    return run_e5v(arguments(output, data) + rest);
  }

  std::vector<double> losses(const std::string& output) const {
    std::vector<double> result;
    if (!fs::exists(folder_ / output / "metrics.jsonl")) return result;
    const std::string text = read_file(folder_ / output / "metrics.jsonl");
    for (size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
      result.push_back(Json::parse(text.substr(at, end - at))["loss"].get<double>());
    }
    return result;
  }
  std::string adapter(const std::string& output) const {
    return read_file(folder_ / output / "adapter_model.safetensors");
  }

  /// Starts a run and ends it with SIGKILL as soon as it has done so many steps.
  void kill_after(size_t num_steps, const std::string& output) const {
    write_file(folder_ / "run.sh", "exec '" E5V_PROGRAM "' " + arguments(output));
    const std::string script = path("run.sh");
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::execl("/bin/bash", "bash", script.c_str(), nullptr);
      ::_exit(127);
    }
    int status = 0;
    while (losses(output).size() < num_steps && ::waitpid(child, &status, WNOHANG) == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ASSERT_EQ(::kill(child, SIGKILL), 0) << "the run ended before it could be killed";
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
  }

  static void expect_one_line(const ProgramResult& result, int status,
                              const ::testing::Matcher<std::string>& message) {
    EXPECT_EQ(result.status, status) << result.err;
    EXPECT_THAT(result.err, message);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }

  TemporaryFolder folder_;
};

TEST_F(TrainCommandTest, ARunIsWhatEmbedAndMergeTake) {
  const ProgramResult result = train("run", "--json --eval-data " + path("rows.csv"));
  ASSERT_EQ(result.status, 0) << result.err;
  const Json summary = Json::parse(result.out);
  EXPECT_EQ(summary["steps"], 40);
  EXPECT_GT(summary["cost"]["flops"].get<double>(), 0);
  EXPECT_GT(summary["cost_with_pictures"]["tokens"].get<int64_t>(),
            summary["cost"]["tokens"].get<int64_t>());
  EXPECT_EQ(losses("run").size(), 40u);
  EXPECT_LT(losses("run").back(), losses("run").front());
  for (const char* file : {"recipe.json", "metrics.jsonl", "loss.svg", "adapter_config.json"}) {
    EXPECT_TRUE(fs::exists(folder_ / "run" / file)) << file;
  }
  write_file(folder_ / "texts.jsonl", "{\"text\": \"a dog\"}\n");
  const auto embed = [&](const std::string& what, const std::string& output) {
    return run_e5v(fmt::format("embed --quiet --input {} --output {} {}", path("texts.jsonl"),
                               path(output), what));
  };
  EXPECT_EQ(embed("--model " + model() + " --adapter " + path("run"), "a.npy").status, 0);
  const ProgramResult merged =
      run_e5v(fmt::format("merge --json --quiet --model {} --adapter {} "
                          "--output {}",
                          model(), path("run"), path("merged")));
  ASSERT_EQ(merged.status, 0) << merged.err;
  EXPECT_GT(Json::parse(merged.out)["lowest_cosine"].get<double>(), 0.999);
  EXPECT_EQ(embed("--model " + path("merged"), "b.npy").status, 0);
  expect_one_line(run_e5v(fmt::format("merge --quiet --model {} --adapter {} --output {}", model(),
                                      path("run"), path("merged"))),
                  1, HasSubstr("expected a new or empty folder"));
}

TEST_F(TrainCommandTest, TheHelpHasEachOptionOnceUnderTheObjectivesThatUseIt) {
  const std::string help = run_e5v("train --help").out;
  const auto count = [&](const std::string& text) {
    size_t number = 0;
    for (size_t at = 0; (at = help.find(text, at)) != std::string::npos; ++at) ++number;
    return number;
  };
  for (const char* flag : {"--batch-size", "--temperature", "--trainable", "--lora-rank"}) {
    EXPECT_EQ(count(std::string("  ") + flag + " "), 1u) << flag;
  }
  const auto place = [&](const std::string& text) {
    EXPECT_EQ(count(text), 1u) << text;
    return help.find(text);
  };
  EXPECT_LT(place("Options of every objective:"), place("  --batch-size "));
  EXPECT_LT(place("Options of contrastive, language:"), place("  --lora-rank "));
  EXPECT_LT(place("Options of phi:"), place("  --concept-weight "));
  EXPECT_THAT(help, ::testing::ContainsRegex("--batch-size INT.*768, of phi: 256"));
}

TEST_F(TrainCommandTest, FlagsGoBeforeTheRecipeAlsoWhereTheyTurnSomethingOff) {
  const ProgramResult result =
      train("run", "--max-steps 1 --lora-alpha 3 --no-shuffle --no-gradient-checkpointing");
  ASSERT_EQ(result.status, 0) << result.err;
  const Json recipe = read_json(folder_ / "run" / "recipe.json");
  EXPECT_EQ(recipe["lora_alpha"], 3);
  EXPECT_EQ(recipe["shuffle"], false);
  EXPECT_EQ(recipe["gradient_checkpointing"], false);
}

TEST_F(TrainCommandTest, AKilledRunResumesToTheSameLossesAndTheSameBytes) {
  ASSERT_EQ(train("whole").status, 0);
  ASSERT_NO_FATAL_FAILURE(kill_after(5, "broken"));
  EXPECT_FALSE(fs::exists(folder_ / "broken/adapter_model.safetensors"));
  expect_one_line(train("broken"), 2, HasSubstr("holds a run already; --resume continues it"));
  expect_one_line(train("broken", "--resume --learning-rate 0.5"), 2,
                  AllOf(HasSubstr("'learning_rate' is 0.5"), HasSubstr("was begun with 0.002")));
  EXPECT_EQ(train("broken", "--resume").status, 0);
  EXPECT_EQ(losses("broken"), losses("whole"));
  EXPECT_EQ(adapter("broken"), adapter("whole"));
}

TEST_F(TrainCommandTest, AFinishedRunIsResumedToNothing) {
  ASSERT_EQ(train("run", "--max-steps 4").status, 0);
  const auto steps = losses("run");
  const std::string bytes = adapter("run");
  const ProgramResult again = train("run", "--max-steps 4 --resume");
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(again.out, path("run") + ": finished before, all 4 steps are done\n");
  EXPECT_EQ(again.err, "");
  const ProgramResult as_json = train("run", "--max-steps 4 --resume --json");
  EXPECT_EQ(Json::parse(as_json.out)["loss"], steps.back());
  EXPECT_EQ(Json::parse(as_json.out)["pairs"], 0);
  EXPECT_EQ(losses("run"), steps);
  EXPECT_EQ(adapter("run"), bytes);
  // One that was killed before its result was written still gets it.
  fs::remove(folder_ / "run/loss.svg");
  fs::remove(folder_ / "run/adapter_model.safetensors");
  EXPECT_EQ(train("run", "--max-steps 4 --resume").status, 0);
  EXPECT_EQ(adapter("run"), bytes);
}

TEST_F(TrainCommandTest, AFullDiskAtCheckpointTimeKeepsTheCheckpointBefore) {
  ASSERT_EQ(train("whole").status, 0);
  ASSERT_NO_FATAL_FAILURE(kill_after(3, "run"));
  const auto checkpoints = [&] {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_ / "run/checkpoints")) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  };
  const auto before = checkpoints();
  ASSERT_FALSE(before.empty());
  // Files may grow to so much: an adapter fits, the optimizer's state of twice its size does not.
  const auto limit_kb = fs::file_size(folder_ / "whole/adapter_model.safetensors") * 3 / 2 / 1024;
  const ProgramResult full = run_e5v(fmt::format(
      "--version; ulimit -f {}; trap '' XFSZ; e5v {} --resume", limit_kb, arguments("run")));
  EXPECT_EQ(full.status, 1);
  EXPECT_THAT(full.err, AllOf(HasSubstr("optimizer.safetensors"), HasSubstr("File too large")));
  EXPECT_EQ(checkpoints(), before);
  EXPECT_EQ(train("run", "--resume").status, 0);
  EXPECT_EQ(losses("run"), losses("whole"));
  EXPECT_EQ(adapter("run"), adapter("whole"));
}

TEST_F(TrainCommandTest, AMalformedRowIsNamedOrLeftOut) {
  std::string rows = kHeader;
  for (int i = 0; i < 10; ++i) rows += fmt::format("dog {0},cat {0},no {0}\n", i);
  rows += "\"never closed,x,y\n";
  rows += ",empty,z\n";
  write_file(folder_ / "bad.csv", rows);
  expect_one_line(train("a", "", "bad.csv"), 1, HasSubstr("bad.csv: line 12, column "));
  const ProgramResult skipped = run_e5v("--version; e5v " + arguments("b", "bad.csv") +
                                        "--on-error skip --max-steps 1 2>&1 >/dev/null");
  EXPECT_EQ(skipped.status, 0) << skipped.out;
  EXPECT_THAT(skipped.out, AllOf(HasSubstr("line 12, column "), HasSubstr("line 13")));
}

TEST_F(TrainCommandTest, DataThatIsTooSmallIsRefusedWithItsNumbers) {
  write_file(folder_ / "one.csv", std::string(kHeader) + "a,b,c\n");
  expect_one_line(train("a", "", "one.csv"), 2,
                  AllOf(HasSubstr("'batch_size' is 8"), HasSubstr("has 1 row")));
  write_file(folder_ / "pair.csv", "sent0,sent1\na,b\n");
  expect_one_line(
      run_e5v(fmt::format("train --quiet --recipe tiny --batch-size 1 --model {} --data "
                          "{} --output {}",
                          model(), path("pair.csv"), path("b"))),
      2, HasSubstr("nothing to tell apart"));
  write_file(folder_ / "none.csv", kHeader);
  EXPECT_NE(train("c", "", "none.csv").status, 0);
  expect_one_line(train("d", "", "absent.csv"), 1, HasSubstr("absent.csv: cannot open"));
}

TEST_F(TrainCommandTest, ALossThatIsNotFiniteNamesStepAndRowsAndDamagesNothing) {
  const ProgramResult result =
      train("run", "--learning-rate 1e30 --warmup-steps 0 --max-grad-norm 0");
  expect_one_line(result, 1,
                  AllOf(HasSubstr("e5v: step "), HasSubstr("is nan"), HasSubstr("rows at lines "),
                        HasSubstr("nothing of this step was applied")));
  EXPECT_FALSE(fs::exists(folder_ / "run/adapter_model.safetensors"));
}

using TrainCommandGoldenTest = TrainCommandTest;

TEST_F(TrainCommandGoldenTest, AnAdapterOfAnotherModelNamesTheFirstShape) {
  ASSERT_EQ(train("run", "--max-steps 1").status, 0);
  const std::string other = E5V_SOURCE_DIR "/tests/goldens/end_to_end_tiny";
  for (const std::string& command :
       {"merge --model " + other + " --adapter " + path("run") + " --output " + path("m"),
        "train --quiet --threads 1 --recipe tiny --batch-size 8 --lora-rank 4 --model " + other +
            " --adapter " + path("run") + " --data " + path("rows.csv") + " --output " +
            path("n")}) {
    expect_one_line(run_e5v(command), 2, AllOf(HasSubstr("layers.0."), HasSubstr("[")));
  }
}

TEST_F(TrainCommandTest, ARecipeOrFlagThatIsNoneIsNamed) {
  write_file(folder_ / "r.json", R"({"batch_sise": 8})");
  expect_one_line(run_e5v("train --model x --data y --output z --recipe " + path("r.json")), 2,
                  HasSubstr("'batch_sise'"));
  expect_one_line(run_e5v("train --model x --data y --output z --recipe nono"), 2,
                  HasSubstr("'nono' is neither a file nor one of"));
  expect_one_line(train("a", "--objective sleep"), 2, HasSubstr("'sleep' is none of contrastive"));
  expect_one_line(train("a", "--concept-weight 1"), 2,
                  HasSubstr("'concept_weight' is an option of objective phi, not of contrastive"));
  expect_one_line(train("a", "--objective clip"), 2,
                  HasSubstr("tiny: 'lora_alpha' is an option of objective contrastive, language"));
  expect_one_line(train("a", "--schedule sine"), 2, HasSubstr("'sine' is none of linear"));
  expect_one_line(train("a", "--lora-dropout 1"), 2, HasSubstr("'lora_dropout' is 1"));
  expect_one_line(train("a", "--no-shufle"), 2, HasSubstr("did you mean '--no-shuffle'"));
}

// ------------------------------------------------------------------------------------- data nli

TEST_F(TrainCommandTest, LabelledPairsBecomeTripletsThatAreTrainedOn) {
  std::string lines;
  for (int i = 0; i < 8; ++i) {
    const auto line = [&](const char* label, const char* hypothesis) {
      lines += Json{{"gold_label", label},
                    {"sentence1", fmt::format("A \"dog\", {}", i)},
                    {"sentence2", fmt::format("{} {}", hypothesis, i)}}
                   .dump() +
               "\n";
    };
    line("entailment", "yes");
    line("contradiction", "no");
    line("-", "whatever");
  }
  write_file(folder_ / "nli.jsonl", lines);
  const ProgramResult made =
      run_e5v("data nli --json --input " + path("nli.jsonl") + " --output " + path("nli.csv"));
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(Json::parse(made.out)["triplets"], 8);
  EXPECT_THAT(read_file(folder_ / "nli.csv"),
              ::testing::StartsWith("sent0,sent1,hard_neg\n\"A \"\"dog\"\", 0\",yes 0,no 0\n"));
  EXPECT_EQ(train("run", "--max-steps 1", "nli.csv").status, 0);

  write_file(folder_ / "bad.jsonl", lines + "{nonsense\n");
  expect_one_line(run_e5v("data nli --input " + path("bad.jsonl") + " --output " + path("b.csv")),
                  1, HasSubstr("bad.jsonl"));
  EXPECT_FALSE(fs::exists(folder_ / "b.csv"));
  EXPECT_EQ(run_e5v("data nli --quiet --on-error skip --input " + path("bad.jsonl") + " --output " +
                    path("b.csv"))
                .status,
            0);
  expect_one_line(run_e5v("data nli --input " + path("nli.jsonl") + " --output b.txt"), 2,
                  HasSubstr("must end in .csv"));
}

}  // namespace
}  // namespace e5v::detail
