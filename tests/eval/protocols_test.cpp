#include "e5v/eval/protocols.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tests/eval/eval_support.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;

TEST(ProtocolsTest, EachHasANameOfItsOwnAndWhatTheHelpShows) {
  std::set<std::string_view> names;
  for (const Protocol& protocol : protocols()) {
    SCOPED_TRACE(protocol.name);
    EXPECT_TRUE(names.insert(protocol.name).second);
    EXPECT_EQ(find_protocol(protocol.name), &protocol);
    EXPECT_FALSE(protocol.summary.empty() || protocol.data_layout.empty() ||
                 protocol.example_data.empty() || protocol.metrics.empty());
    // No data: that is said, and nothing is made.
    EXPECT_THAT(error_of([&] {
                  protocol.make_evaluation()->run(
                      []() -> std::unique_ptr<System> { throw Error("a system was made"); });
                }),
                HasSubstr("--data is required"));
  }
  EXPECT_EQ(find_protocol("nothing"), nullptr);
}

TEST(ProtocolsTest, TheDocumentationNamesThemAll) {
  const std::string docs = read_file(E5V_SOURCE_DIR "/docs/evaluation.md");
  for (const Protocol& protocol : protocols()) {
    const std::string command = fmt::format("e5v eval run {} ", protocol.name);
    EXPECT_TRUE(docs.find(command) != std::string::npos) << command;
  }
}

/// A published figure; fails the test where there is none of that name.
double figure(const PublishedFigures& figures, const std::string& metric) {
  const auto found = figures.metrics.find(metric);
  if (found != figures.metrics.end()) return found->second;
  ADD_FAILURE() << figures.system << " has no " << metric;
  return std::nan("");
}

/// Means that papers print are of their unrounded figures.
void expect_mean(double mean, const std::vector<double>& of) {
  double sum = 0;
  for (const double value : of) sum += value;
  EXPECT_NEAR(mean, sum / static_cast<double>(of.size()), 0.01);
}

TEST(PublishedFiguresTest, MeansAreThoseOfTheFigures) {
  for (const PublishedFigures& figures : published_figures("fashioniq")) {
    SCOPED_TRACE(figures.system);
    for (const char* k : {"@10", "@50"}) {
      const auto of = [&](const char* category) {
        return figure(figures, fmt::format("fashioniq_{}_recall{}", category, k));
      };
      expect_mean(of("mean"), {of("shirt"), of("dress"), of("toptee")});
    }
  }
  for (const PublishedFigures& figures : published_figures("sts")) {
    SCOPED_TRACE(figures.system);
    std::vector<double> tasks;
    for (const char* task : {"sts12", "sts13", "sts14", "sts15", "sts16", "stsb", "sickr"}) {
      tasks.push_back(figure(figures, fmt::format("{}_spearman", task)));
    }
    expect_mean(figure(figures, "sts_mean_spearman"), tasks);
  }
}

TEST(PublishedFiguresTest, RecallGrowsWithK) {
  for (const Protocol& protocol : protocols()) {
    for (const PublishedFigures& figures : protocol.published) {
      std::map<std::string, std::map<int, double>> by_k;  // of each metric
      for (const auto& [name, value] : figures.metrics) {
        EXPECT_TRUE(value > 0 && value < 100) << name;
        if (const size_t at = name.find('@'); at != std::string::npos) {
          by_k[name.substr(0, at)][std::stoi(name.substr(at + 1))] = value;
        }
      }
      for (const auto& [name, values] : by_k) {
        double last = 0;
        for (const auto& [k, value] : values) {
          EXPECT_GT(value, last) << protocol.name << " " << figures.system << " " << name << k;
          last = value;
        }
      }
    }
  }
}

/// Which metrics a report of the protocol has.
std::set<std::string> metrics_of(const Protocol& protocol, const OptionValues& options) {
  FakeSystem system([](const std::string&) { return std::vector<float>{1}; });
  std::set<std::string> names;
  for (const Metric& metric : evaluate(std::string(protocol.name), options, system).metrics) {
    names.insert(metric.name);
  }
  return names;
}

TEST(PublishedFiguresTest, AreOfMetricsThatReportsHave) {
  const TemporaryFolder folder;
  write_file(folder / "captions.tsv", "a.png\ta\nb.png\tb\n");
  for (const char* part : {"captions", "image_splits"}) {
    std::filesystem::create_directories(folder / part);
  }
  write_file(folder / "image_splits/split.rc2.val.json", R"({"a": "a.png", "b": "b.png"})");
  write_file(folder / "captions/cap.rc2.val.json",
             R"([{"pairid": 1, "reference": "a", "target_hard": "b", "caption": "c",
                  "img_set": {"members": ["a", "b"]}}])");
  for (const std::string category : {"dress", "shirt", "toptee"}) {
    write_file(folder / ("image_splits/split." + category + ".val.json"), R"(["a", "b"])");
    write_file(folder / ("captions/cap." + category + ".val.json"),
               R"([{"candidate": "a", "target": "b", "captions": ["c", "d"]}])");
  }
  for (const Protocol& protocol : protocols()) {
    if (protocol.published.empty() || protocol.name == "sts") continue;  // sts: above
    SCOPED_TRACE(protocol.name);
    const bool is_composed = protocol.name == "cirr" || protocol.name == "fashioniq";
    const std::set<std::string> names =
        metrics_of(protocol, {{"data", is_composed ? folder.path() : folder / "captions.tsv"}});
    for (const PublishedFigures& figures : protocol.published) {
      for (const auto& [metric, value] : figures.metrics)
        EXPECT_TRUE(names.contains(metric)) << metric;
    }
  }
}

}  // namespace
}  // namespace e5v::detail
