// Clients for a running `e5v serve`: how many requests it answers, how soon, and whether each
// answer is the right one. benchmarks/server/run.sh starts a server and runs every mode.
//
// Each line once, one a request:
//
//   server_load --port 8080 throughput --texts texts.txt --vectors texts.npy
//
// /v1/search, one at a time:
//
//   server_load --port 8080 search --texts texts.txt --requests 500
//
// Single texts beside one big batch:
//
//   server_load --port 8080 fairness --texts texts.txt
//
// Every request again until the time is over, watching the server's memory:
//
//   server_load --port 8080 soak --texts texts.txt --vectors texts.npy --seconds 600 --pid PID
//
// texts.npy are the vectors of texts.txt by `e5v embed`: every answer is compared with its text's.
// Prints one JSON object; the exit status is 1 if an answer was wrong, missing, or an error other
// than 429.

#include <httplib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/base/npy.h"

namespace e5v::detail {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Options {
  int port = 8080;
  int clients = 32;
  std::string texts_path, vectors_path;
  int requests = 500;
  int batch = 2000;  ///< texts of the big request of `fairness`
  double seconds = 600;
  int pid = 0;  ///< the server's, whose memory `soak` watches
};

/// What was seen of all requests of a run.
struct Tally {
  std::mutex mutex;
  std::vector<double> latencies;    // of those answered with 200
  std::map<int, int64_t> statuses;  // 0: no answer
  int64_t num_wrong = 0;

  void add(int status, double latency, bool right) {
    const std::lock_guard lock(mutex);
    ++statuses[status];
    if (status == 200) latencies.push_back(latency);
    if (status == 200 && !right) ++num_wrong;
  }
  bool is_good() const {
    return num_wrong == 0 && std::all_of(statuses.begin(), statuses.end(), [](const auto& entry) {
             return entry.first == 200 || entry.first == 429;
           });
  }
};

Json latency_json(std::vector<double> latencies) {
  if (latencies.empty()) return nullptr;
  std::sort(latencies.begin(), latencies.end());
  const auto at = [&](double part) {
    const auto index = static_cast<size_t>(part * static_cast<double>(latencies.size() - 1));
    return std::round(latencies[index] * 1e5) / 100;
  };
  return {{"p50", at(0.5)}, {"p95", at(0.95)}, {"p99", at(0.99)}, {"max", at(1)}};
}

Json tally_json(const Tally& tally, double seconds) {
  Json statuses = Json::object();
  for (const auto& [status, count] : tally.statuses) statuses[std::to_string(status)] = count;
  const auto num_good = static_cast<double>(tally.latencies.size());
  return {{"statuses", statuses},
          {"wrong", tally.num_wrong},
          {"seconds", seconds},
          {"per_second", num_good / seconds},
          {"latency_ms", latency_json(tally.latencies)}};
}

/// The texts, and what each one's vector has to be.
struct Texts {
  std::vector<std::string> lines;
  std::optional<NpyArray> vectors;

  explicit Texts(const Options& options) {
    std::ifstream file(options.texts_path);
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    if (lines.empty()) throw InputError("'" + options.texts_path + "' has no lines");
    if (options.vectors_path.empty()) return;
    vectors.emplace(options.vectors_path);
    if (vectors->type() != NpyType::kFloat32 || vectors->shape().size() != 2 ||
        vectors->shape()[0] != static_cast<int64_t>(lines.size())) {
      throw InputError("'" + options.vectors_path + "' is not one float32 vector a line");
    }
  }

  /// Whether `embedding` is line `index`'s vector. What else is in a batch changes the last bits.
  bool is_right(size_t index, const Json& embedding) const {
    if (!vectors) return true;
    const auto size = static_cast<size_t>(vectors->shape()[1]);
    if (!embedding.is_array() || embedding.size() != size) return false;
    std::vector<float> expected(size);
    std::memcpy(expected.data(), vectors->bytes().data() + index * size * sizeof(float),
                size * sizeof(float));
    double dot = 0;
    for (size_t i = 0; i < size; ++i) dot += embedding[i].get<double>() * expected[i];
    return dot > 0.9999;
  }
};

httplib::Client client_of(const Options& options) {
  httplib::Client client("127.0.0.1", options.port);
  client.set_keep_alive(true);
  client.set_tcp_nodelay(true);
  client.set_read_timeout(300);
  return client;
}

/// Asks for the vectors of `lines` and notes the answer.
int ask(httplib::Client& client, const Texts& texts, std::span<const size_t> lines, Tally& tally) {
  Json input = Json::array();
  for (const size_t line : lines) input.push_back(texts.lines[line]);
  const std::string body = Json({{"input", lines.size() == 1 ? input[0] : input}}).dump();
  const auto start = Clock::now();
  const auto answer = client.Post("/v1/embeddings", body, "application/json");
  const double latency = seconds_since(start);
  const int status = answer ? answer->status : 0;
  bool right = true;
  if (status == 200) {
    const Json json = Json::parse(answer->body, nullptr, false);
    right = json.is_object() && json.contains("data") && json["data"].size() == lines.size();
    for (size_t i = 0; right && i < lines.size(); ++i) {
      right =
          json["data"][i]["index"] == i && texts.is_right(lines[i], json["data"][i]["embedding"]);
    }
  }
  tally.add(status, latency, right);
  return status;
}

/// Runs `work` as so many clients at a time.
template <class Work>
void in_parallel(int count, const Work& work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&work, i] { work(i); });
  for (std::thread& thread : threads) thread.join();
}

Json throughput(const Options& options, const Texts& texts, Tally& tally) {
  std::atomic<size_t> next = 0;
  const auto start = Clock::now();
  in_parallel(options.clients, [&](int) {
    httplib::Client client = client_of(options);
    for (size_t line = next++; line < texts.lines.size(); line = next++) {
      ask(client, texts, {&line, 1}, tally);
    }
  });
  return tally_json(tally, seconds_since(start));
}

Json search(const Options& options, const Texts& texts, Tally& tally) {
  httplib::Client client = client_of(options);
  std::vector<double> took_ms;
  const auto start = Clock::now();
  for (int i = 0; i < options.requests; ++i) {
    const std::string& text = texts.lines[static_cast<size_t>(i) % texts.lines.size()];
    const auto asked = Clock::now();
    const auto answer =
        client.Post("/v1/search", Json({{"text", text}, {"k", 10}}).dump(), "application/json");
    const double latency = seconds_since(asked);
    const Json json = answer ? Json::parse(answer->body, nullptr, false) : Json();
    tally.add(answer ? answer->status : 0, latency,
              json.is_object() && json.contains("results") && json["results"].size() == 10);
  }
  return tally_json(tally, seconds_since(start));
}

/// One client asks for single texts, first alone, then beside another that sends one big batch
/// after the other.
Json fairness(const Options& options, const Texts& texts, Tally& tally) {
  const auto singles = [&](Tally& seen) {
    httplib::Client client = client_of(options);
    for (int i = 0; i < options.requests; ++i) {
      const size_t line = static_cast<size_t>(i) % texts.lines.size();
      ask(client, texts, {&line, 1}, seen);
    }
  };
  Tally alone;
  singles(alone);
  std::atomic<bool> done = false;
  Tally batches;
  std::thread big([&] {
    httplib::Client client = client_of(options);
    std::vector<size_t> lines(static_cast<size_t>(options.batch));
    for (size_t i = 0; i < lines.size(); ++i) lines[i] = i % texts.lines.size();
    while (!done) ask(client, texts, lines, batches);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  singles(tally);
  done = true;
  big.join();
  for (const auto& [status, count] : batches.statuses) tally.statuses[status] += count;
  tally.num_wrong += batches.num_wrong;
  return {{"alone_ms", latency_json(alone.latencies)},
          {"beside_a_batch_ms", latency_json(tally.latencies)},
          {"batch_texts", options.batch},
          {"batch_ms", latency_json(batches.latencies)},
          {"wrong", tally.num_wrong}};
}

/// Resident memory in MiB; 0 where the process is not there.
double resident_mib(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  double total = 0, resident = 0;
  file >> total >> resident;
  return resident * 4096 / (1 << 20);
}

/// More clients than the queue has places, until the time is over. A client that is told to come
/// again does so after a moment, as Retry-After asks for, only sooner: the queue stays full.
Json soak(const Options& options, const Texts& texts, Tally& tally) {
  const auto start = Clock::now();
  std::vector<std::pair<double, double>> memory;  // seconds, MiB
  std::atomic<bool> done = false;
  std::thread watcher([&] {
    while (!done) {
      if (options.pid > 0) memory.emplace_back(seconds_since(start), resident_mib(options.pid));
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
    }
  });
  in_parallel(options.clients, [&](int number) {
    httplib::Client client = client_of(options);
    for (size_t i = static_cast<size_t>(number); seconds_since(start) < options.seconds;
         i += static_cast<size_t>(options.clients)) {
      const size_t line = i % texts.lines.size();
      if (ask(client, texts, {&line, 1}, tally) == 429) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    }
  });
  done = true;
  watcher.join();
  Json result = tally_json(tally, seconds_since(start));
  // The first tenth fills caches and arenas.
  double least = INFINITY, most = 0;
  for (const auto& [when, mib] : memory) {
    if (when < options.seconds / 10) continue;
    least = std::min(least, mib);
    most = std::max(most, mib);
  }
  if (!memory.empty()) {
    result["memory_mib"] = {{"at_start", memory.front().second},
                            {"least", least},
                            {"most", most},
                            {"at_end", memory.back().second}};
  }
  return result;
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("Clients for a running e5v serve");
  app.add_option("--port", options.port);
  std::map<CLI::App*, Json (*)(const Options&, const Texts&, Tally&)> modes;
  for (const auto& [name, function] : std::initializer_list<
           std::pair<const char*, Json (*)(const Options&, const Texts&, Tally&)>>{
           {"throughput", throughput},
           {"search", search},
           {"fairness", fairness},
           {"soak", soak}}) {
    CLI::App* mode = app.add_subcommand(name);
    mode->add_option("--texts", options.texts_path)->required();
    mode->add_option("--vectors", options.vectors_path);
    mode->add_option("--clients", options.clients);
    mode->add_option("--requests", options.requests);
    mode->add_option("--batch", options.batch);
    mode->add_option("--seconds", options.seconds);
    mode->add_option("--pid", options.pid);
    modes[mode] = function;
  }
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);
  const Texts texts(options);
  Tally tally;
  Json result = modes.at(app.get_subcommands().front())(options, texts, tally);
  result["mode"] = app.get_subcommands().front()->get_name();
  std::cout << result.dump() << '\n';
  return tally.is_good() ? 0 : 1;
}

}  // namespace
}  // namespace e5v::detail

int main(int argc, char** argv) {
  try {
    return e5v::detail::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "server_load: %s\n", error.what());
    return 1;
  }
}
