// How fast tokenizers load and encode. Needs real tokenizers and captions, which are bound by their
// licences and not part of this project; a case without its files is skipped.
//
//   tokenizer_bench                        all cases
//   tokenizer_bench --benchmark_filter=Load

#include <benchmark/benchmark.h>

#include <filesystem>
#include <string>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/text/tokenizer.h"

namespace e5v::detail {
namespace {

const std::filesystem::path kData = E5V_SHARED_DATA;

struct Case {
  const char* name;
  const char* folder;
};

constexpr Case kCases[] = {
    {"llama3", "tokenizers/llama3_hf"},
    {"llama2", "configs/llava-1.5-7b-hf"},
    {"clip", "tokenizers/clip_hf"},
};

/// 25,000 English captions, 1.3 MB.
const std::vector<std::string>& captions() {
  static const std::vector<std::string> captions = [] {
    std::vector<std::string> texts;
    const auto folder = kData / "retrieval/coco";
    if (!std::filesystem::exists(folder)) return texts;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() != ".json") continue;
      const Json json = read_json(entry.path());
      for (const Json& annotation : json.at("annotations")) {
        texts.push_back(annotation["caption"].get<std::string>());
      }
    }
    return texts;
  }();
  return captions;
}

void load(benchmark::State& state, const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder)) {
    state.SkipWithError(("needs " + folder.native()).c_str());
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::load(folder));
}

/// `joined`: all captions as one text, otherwise one by one, as items are.
void encode(benchmark::State& state, const std::filesystem::path& folder, bool joined) {
  if (!std::filesystem::exists(folder) || captions().empty()) {
    state.SkipWithError(("needs " + folder.native() + " and COCO's captions").c_str());
    return;
  }
  const Tokenizer tokenizer = Tokenizer::load(folder);
  std::vector<std::string> texts = captions();
  if (joined) {
    std::string all;
    for (const std::string& text : texts) all += text + "\n";
    texts = {all};
  }
  int64_t num_bytes = 0;
  for (auto _ : state) {
    for (const std::string& text : texts) {
      benchmark::DoNotOptimize(tokenizer.encode(text));
      num_bytes += static_cast<int64_t>(text.size());
    }
  }
  state.SetBytesProcessed(num_bytes);
}

const bool kRegistered = [] {
  for (const Case& tokenizer : kCases) {
    const std::string name = tokenizer.name;
    const auto folder = kData / tokenizer.folder;
    benchmark::RegisterBenchmark(("Load/" + name).c_str(), load, folder)
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(("EncodeCaptions/" + name).c_str(), encode, folder, false)
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(("EncodeOneText/" + name).c_str(), encode, folder, true)
        ->Unit(benchmark::kMillisecond);
  }
  return true;
}();

}  // namespace
}  // namespace e5v::detail
