#include "e5v/hub/pull.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "e5v/hub/partial_file.h"
#include "tests/hub/fake_hub.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::ThrowsMessage;

constexpr size_t kWeightBytes = 700'001;

class PullTest : public ::testing::Test {
 protected:
  PullTest() {
    ::setenv("no_proxy", "127.0.0.1", 1);
    std::string weights(kWeightBytes, '\0');
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<char>(i * i >> 3);
    hub_.files = {{"config.json", "{\"model_type\": \"llava_next\"}\n"},
                  {"empty.txt", ""},
                  {"model.safetensors", weights},
                  {"tokenizer.model", "pieces"},
                  {"pytorch_model.bin", "pickle"},
                  {"README.md", "# A model"},
                  {"onnx/config.json", "{}"}};
    access_.endpoint = hub_.endpoint();
    access_.cache = folder_ / "cache";
    access_.num_retries = 2;
    access_.retry_pause_s = 0.01;
    options_.repository = FakeHub::kRepository;
    options_.output = folder_ / "model";
  }

  PullResult run() {
    return pull(options_, access_, silent_logger(), [](uint64_t, uint64_t) {});
  }
  /// Where the weights are gathered in the output folder.
  std::string partial_weights() {
    const std::string digest = [&] {
      Digest sha256(DigestKind::kSha256, kWeightBytes);
      sha256.update(hub_.files["model.safetensors"]);
      return sha256.finish();
    }();
    return folder_ / "model" / ("model.safetensors." + digest.substr(0, 12) + ".incomplete");
  }
  std::string content(const std::string& name) { return read_file(folder_ / "model" / name); }
  bool exists(const std::string& name) { return std::filesystem::exists(folder_ / "model" / name); }
  /// Files under the output folder whose names end in ".incomplete".
  std::vector<std::filesystem::path> incomplete() {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
      if (entry.path().extension() == ".incomplete") found.push_back(entry.path());
    }
    return found;
  }
  /// Requests for contents since the last look.
  std::vector<FakeHub::Request> downloads() {
    std::vector<FakeHub::Request> requests = hub_.take_requests();
    std::erase_if(requests, [](const FakeHub::Request& request) {
      return request.path.starts_with("/api/") || request.method == "HEAD";
    });
    return requests;
  }

  TemporaryFolder folder_;
  FakeHub hub_;
  HubAccess access_;
  PullOptions options_;
};

TEST_F(PullTest, BringsWhatAModelNeedsAndNothingElse) {
  const PullResult result = run();
  EXPECT_EQ(result.folder, folder_ / "model");
  EXPECT_EQ(result.commit, FakeHub::kCommit);
  EXPECT_THAT(result.paths,
              ElementsAre("config.json", "empty.txt", "model.safetensors", "tokenizer.model"));
  EXPECT_EQ(result.num_downloaded, 4U);
  for (const std::string& path : result.paths) EXPECT_EQ(content(path), hub_.files[path]) << path;
  EXPECT_FALSE(exists("pytorch_model.bin"));
  EXPECT_TRUE(incomplete().empty());
}

TEST_F(PullTest, ASecondRunDownloadsNothing) {
  run();
  hub_.take_requests();
  const PullResult second = run();
  EXPECT_EQ(second.num_downloaded, 0U);
  EXPECT_EQ(second.paths.size(), 4U);
  EXPECT_EQ(hub_.take_requests().size(), 1U);  // the listing
}

TEST_F(PullTest, FilesThatAreThereWithoutARecordAreLookedAtNotFetched) {
  run();
  std::filesystem::remove(folder_ / "model" / ".e5v-pull.json");
  EXPECT_EQ(run().num_downloaded, 0U);
  write_file(folder_ / "model" / ".e5v-pull.json", "]");
  EXPECT_EQ(run().num_downloaded, 0U);
}

TEST_F(PullTest, AChangedFileIsFetchedAgainAlsoWhereItsSizeIsTheSame) {
  run();
  std::string damaged = content("model.safetensors");
  damaged[5] ^= 1;
  write_file(folder_ / "model" / "model.safetensors", damaged);
  hub_.files["config.json"] = "{\"model_type\": \"llava\"}\n";
  EXPECT_EQ(run().num_downloaded, 2U);
  EXPECT_EQ(content("model.safetensors"), hub_.files["model.safetensors"]);
  EXPECT_EQ(content("config.json"), hub_.files["config.json"]);
}

TEST_F(PullTest, PatternsChooseFilesAcrossFolders) {
  options_.include = {"*.json", "*.md"};
  options_.exclude = {"READ*"};
  EXPECT_THAT(run().paths, ElementsAre("config.json", "onnx/config.json"));
  EXPECT_EQ(content("onnx/config.json"), "{}");
  options_.include = {"*.gguf"};
  EXPECT_THAT([&] { run(); }, ThrowsMessage<InputError>(HasSubstr("none of its 7 files")));
}

TEST_F(PullTest, TheCacheHasTheLayoutOfHuggingfaceHub) {
  options_.output.clear();
  const PullResult result = run();
  const auto root = folder_ / "cache/models--tiny--llava";
  EXPECT_EQ(result.folder, root / "snapshots" / FakeHub::kCommit);
  EXPECT_EQ(read_file(root / "refs/main"), FakeHub::kCommit);
  const auto link = result.folder / "model.safetensors";
  EXPECT_EQ(std::filesystem::read_symlink(link).parent_path(), "../../blobs");
  EXPECT_EQ(std::filesystem::read_symlink(link).filename().native().size(), 64U);
  EXPECT_EQ(std::filesystem::read_symlink(result.folder / "config.json").filename().native().size(),
            40U);
  EXPECT_EQ(read_file(link), hub_.files["model.safetensors"]);
  EXPECT_EQ(run().num_downloaded, 0U);
  // Another revision with the same content needs links only.
  std::filesystem::remove_all(root / "snapshots");
  EXPECT_EQ(run().num_downloaded, 0U);
  EXPECT_EQ(read_file(link), hub_.files["model.safetensors"]);
}

TEST_F(PullTest, AsksForDigestsThatTheListingLacks) {
  hub_.lists_digests = false;
  EXPECT_EQ(run().num_downloaded, 4U);
  EXPECT_EQ(content("model.safetensors"), hub_.files["model.safetensors"]);
  hub_.take_requests();
  EXPECT_EQ(run().num_downloaded, 0U);
  hub_.corrupts = true;
  std::filesystem::remove(folder_ / "model/model.safetensors");
  EXPECT_THROW(run(), FormatError);
}

TEST_F(PullTest, ContinuesWithinARunAfterBrokenConnections) {
  hub_.files = {{"model.safetensors", hub_.files["model.safetensors"]}};
  hub_.breaks_after = 200'000;
  run();
  EXPECT_EQ(content("model.safetensors"), hub_.files["model.safetensors"]);
  std::vector<std::string> ranges;
  for (const auto& request : downloads()) {
    if (request.at_storage) ranges.push_back(request.range);
  }
  EXPECT_THAT(ranges, ElementsAre("", "bytes=200000-", "bytes=400000-", "bytes=600000-"));
}

TEST_F(PullTest, GivesUpClearlyAndContinuesInTheNextRun) {
  hub_.breaks_after = 1000;
  EXPECT_THAT([&] { run(); }, ThrowsMessage<ConnectionError>(AllOf(HasSubstr("model.safetensors"),
                                                                   HasSubstr("after 3 tries"),
                                                                   Not(HasSubstr("s3cret")))));
  EXPECT_FALSE(exists("model.safetensors"));
  ASSERT_EQ(incomplete().size(), 1U);
  EXPECT_EQ(std::filesystem::file_size(incomplete()[0]), 3000U);
  hub_.breaks_after = -1;
  hub_.take_requests();
  run();
  EXPECT_EQ(content("model.safetensors"), hub_.files["model.safetensors"]);
  std::vector<std::string> ranges;
  for (const auto& request : downloads()) {
    if (request.path == "/blob/model.safetensors") ranges.push_back(request.range);
  }
  EXPECT_THAT(ranges, ElementsAre("bytes=3000-"));  // and not once more from the beginning
  EXPECT_TRUE(incomplete().empty());
}

TEST_F(PullTest, StartsOverWhereRangesAreNotServed) {
  hub_.serves_ranges = false;
  hub_.breaks_after = 100'000;
  hub_.num_breaks = 2;
  run();
  EXPECT_EQ(content("model.safetensors"), hub_.files["model.safetensors"]);
}

TEST_F(PullTest, ADamagedBeginningIsFetchedAgain) {
  run();
  for (const std::string& begun : {std::string(3000, '?'), std::string(kWeightBytes, '?'),
                                   std::string(kWeightBytes + 1, '?')}) {
    std::filesystem::remove(folder_ / "model/model.safetensors");
    write_file(partial_weights(), begun);
    run();
    EXPECT_EQ(content("model.safetensors"), hub_.files["model.safetensors"]) << begun.size();
  }
}

TEST_F(PullTest, WrongBytesNeverAppear) {
  hub_.corrupts = true;
  EXPECT_THAT([&] { run(); }, ThrowsMessage<FormatError>(
                                  AllOf(HasSubstr("model.safetensors"), HasSubstr("SHA-256"))));
  EXPECT_FALSE(exists("model.safetensors"));
  EXPECT_TRUE(incomplete().empty());
}

TEST_F(PullTest, WaitsWhereTheServerIsBusyAndGivesUpWhereItStaysSo) {
  hub_.num_listing_failures = 2;
  hub_.num_storage_failures = 2;
  hub_.failure_status = 429;
  run();
  EXPECT_EQ(content("model.safetensors"), hub_.files["model.safetensors"]);
  hub_.num_listing_failures = 3;
  hub_.failure_status = 503;
  EXPECT_THAT([&] { run(); },
              ThrowsMessage<ConnectionError>(HasSubstr("HTTP status 503; gave up after 3")));
}

TEST_F(PullTest, TheTokenGoesToTheHubAndNotToItsStorage) {
  hub_.required_token = access_.token = "hf_secret";
  run();
  bool storage_asked = false;
  for (const FakeHub::Request& request : hub_.take_requests()) {
    EXPECT_EQ(request.authorization, request.at_storage ? "" : "Bearer hf_secret") << request.path;
    storage_asked = storage_asked || request.at_storage;
  }
  EXPECT_TRUE(storage_asked);
}

TEST_F(PullTest, SaysHowToBeLetIn) {
  hub_.required_token = "hf_secret";
  EXPECT_THAT([&] { run(); },
              ThrowsMessage<InputError>(AllOf(HasSubstr("tiny/llava at http://127.0.0.1"),
                                              HasSubstr("HTTP 403"), HasSubstr("set HF_TOKEN"))));
  access_.token = "hf_other";
  EXPECT_THAT([&] { run(); }, ThrowsMessage<InputError>(
                                  AllOf(HasSubstr("same account"), Not(HasSubstr("hf_other")))));
}

TEST_F(PullTest, SaysWhatIsNotThere) {
  options_.revision = "v9";
  EXPECT_THAT([&] { run(); }, ThrowsMessage<InputError>(HasSubstr("no revision 'v9'")));
  options_.revision = "main";
  options_.repository = "tiny/other";
  EXPECT_THAT([&] { run(); },
              ThrowsMessage<InputError>(HasSubstr("tiny/other at http://127.0.0.1")));
  hub_.required_token = "x";
  EXPECT_THAT([&] { run(); }, ThrowsMessage<InputError>(HasSubstr("set HF_TOKEN")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "model"));
}

TEST_F(PullTest, AFileThatIsListedButNotThereIsNamed) {
  hub_.listing =
      Json{{"sha", FakeHub::kCommit}, {"siblings", {{{"rfilename", "gone.json"}}}}}.dump();
  EXPECT_THAT([&] { run(); }, ThrowsMessage<InputError>(HasSubstr("no file 'gone.json'")));
}

TEST_F(PullTest, RefusesNamesThatLeadOutOfTheFolder) {
  for (const char* name : {"../x.json", "/etc/x.json", "a/../../x.json", "a//x.json", "./x.json",
                           "a\\x.json", "a\nx.json", "", "..", "a/"}) {
    hub_.listing = Json{{"sha", FakeHub::kCommit}, {"siblings", {{{"rfilename", name}}}}}.dump();
    EXPECT_THAT([&] { run(); }, ThrowsMessage<FormatError>(HasSubstr("no safe file name"))) << name;
  }
}

TEST_F(PullTest, RefusesAnswersThatAreNoHubs) {
  for (const char* body :
       {"<html>", "[]", "{}", R"({"sha": "../x", "siblings": []})",
        R"({"sha": "", "siblings": []})", R"({"sha": "ab", "siblings": {}})",
        R"({"sha": "ab", "siblings": [1]})", R"({"sha": "ab", "siblings": [{"rfilename": 7}]})",
        R"({"sha": "ab", "siblings": [{"rfilename": "a.json", "size": -1}]})"}) {
    hub_.listing = body;
    EXPECT_THROW(run(), FormatError) << body;
  }
}

TEST_F(PullTest, RedirectsEnd) {
  hub_.redirects_in_circles = true;
  EXPECT_THAT([&] { run(); }, ThrowsMessage<InputError>(HasSubstr("redirects")));
}

TEST_F(PullTest, AnotherProcessMayNotWriteTheSameFile) {
  hub_.breaks_after = 1000;
  EXPECT_THROW(run(), ConnectionError);
  const PartialFile held(incomplete().at(0));
  EXPECT_THAT([&] { run(); }, ThrowsMessage<FileError>(HasSubstr("another process")));
}

TEST_F(PullTest, AFullDiskIsNamedAndWhatCameIsKept) {
  // The limit on file sizes stands for the disk; in a child, because it cannot be lifted again.
  options_.include = {"model.safetensors"};
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{300'000, 300'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      run();
    } catch (const FileError& error) {
      ::_exit(std::string(error.what()).find("cannot write: File too large") != std::string::npos
                  ? 0
                  : 2);
    }
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  ASSERT_EQ(incomplete().size(), 1U);
  EXPECT_EQ(std::filesystem::file_size(incomplete()[0]), 300'000U);
  run();
  EXPECT_EQ(content("model.safetensors"), hub_.files["model.safetensors"]);
}

TEST_F(PullTest, ReportsProgressInBytesUpToTheTotal) {
  std::vector<uint64_t> done;
  uint64_t last_total = 0;
  pull(options_, access_, silent_logger(), [&](uint64_t bytes, uint64_t total) {
    done.push_back(bytes);
    last_total = total;
  });
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), last_total);
  EXPECT_GT(last_total, kWeightBytes);
}

TEST(PullOptionsTest, RefusesWhatIsNoRepositoryOrRevision) {
  PullOptions options;
  for (const char* name :
       {"", "e5-v", "a/", "/b", "a/b/c", "../b", "a/..", "a b/c", "a/b?x", "a/b#"}) {
    options.repository = name;
    EXPECT_THROW(options.validate(), ConfigError) << name;
  }
  options.repository = "royokong/e5-v";
  EXPECT_NO_THROW(options.validate());
  for (const char* revision : {"", "..", "a/../b", "/a", "a b", "a\n"}) {
    options.revision = revision;
    EXPECT_THROW(options.validate(), ConfigError) << revision;
  }
  options.revision = "refs/pr/1";
  EXPECT_NO_THROW(options.validate());
}

TEST(HubAccessTest, FollowsTheEnvironment) {
  const TemporaryFolder home;
  for (const char* name : {"HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE"})
    ::unsetenv(name);
  ::setenv("HF_HOME", home.path().c_str(), 1);
  EXPECT_EQ(HubAccess::from_environment().endpoint, "https://huggingface.co");
  EXPECT_EQ(HubAccess::from_environment().token, "");
  EXPECT_EQ(HubAccess::from_environment().cache, home / "hub");
  write_file(home / "token", "hf_from_login\n");
  EXPECT_EQ(HubAccess::from_environment().token, "hf_from_login");
  ::setenv("HF_TOKEN", " hf_given ", 1);
  ::setenv("HF_ENDPOINT", "https://hub.example", 1);
  EXPECT_EQ(HubAccess::from_environment().token, "hf_given");
  EXPECT_EQ(HubAccess::from_environment().endpoint, "https://hub.example");
  for (const char* name : {"HF_ENDPOINT", "HF_TOKEN", "HF_HOME"}) ::unsetenv(name);
}

}  // namespace
}  // namespace e5v::detail
