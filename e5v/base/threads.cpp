#include "e5v/base/threads.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace e5v::detail {
namespace {

int affinity_cores() {
  // A mask of fixed size fails on machines with more processors: then ask for all of them.
  cpu_set_t mask;
  if (::sched_getaffinity(0, sizeof(mask), &mask) == 0) return CPU_COUNT(&mask);
  return static_cast<int>(std::thread::hardware_concurrency());
}

/// "max 100000" or "150000 100000" as cores; no limit (infinity) where absent or unlimited.
double read_quota(const std::filesystem::path& quota_file,
                  const std::filesystem::path& period_file) {
  double quota = 0, period = 0;
  std::ifstream quota_stream(quota_file);
  if (!(quota_stream >> quota) || quota <= 0) return HUGE_VAL;
  std::ifstream period_stream(period_file);
  std::istream& in = quota_file == period_file ? quota_stream : period_stream;
  return (in >> period) && period > 0 ? quota / period : HUGE_VAL;
}

/// The tightest quota on the way from this process's cgroup up to the root.
double cgroup_cores() {
  double cores = HUGE_VAL;
  std::ifstream groups("/proc/self/cgroup");  // lines "0::/path" (v2) or "4:cpu,cpuacct:/path"
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(",cpu,") == std::string::npos) continue;
    const std::filesystem::path root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
    // Inside a container the path may name the outer hierarchy: missing files are just no limit.
    std::filesystem::path group = std::filesystem::path(line.substr(second + 1)).lexically_normal();
    for (;;) {
      const std::filesystem::path folder = root / group.relative_path();
      cores = std::min(cores,
                       v2 ? read_quota(folder / "cpu.max", folder / "cpu.max")
                          : read_quota(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us"));
      if (!group.has_relative_path()) break;
      group = group.parent_path();
    }
  }
  return cores;
}

}  // namespace

int usable_cores() {
  // Rounded down: with 1.5 cores, two threads that wait for each other would run at the pace of
  // the one that is throttled.
  const int affinity = affinity_cores();
  return std::max(1, static_cast<int>(std::min<double>(affinity, cgroup_cores())));
}

int64_t threads_or_cores(int64_t threads) { return threads == 0 ? usable_cores() : threads; }

}  // namespace e5v::detail
