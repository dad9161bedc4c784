#include "e5v/train/process_group.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

/// Newer libtorches meet over libuv unless told not to, even where (Debian's) they are built
/// without it.
template <class StoreOptions>
void without_libuv(StoreOptions& options) {
  if constexpr (requires { options.useLibUV; }) options.useLibUV = false;
}

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

int integer_variable(const char* name, int low, int high) {
  const std::string text = variable(name).value_or("");
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    throw ConfigError(
        fmt::format("environment variable {} is '{}', expected a number from {} to {}", name,
                    printable(text, 40), low, high));
  }
  return value;
}

}  // namespace

RankAddress RankAddress::from_environment() {
  constexpr std::pair<const char*, const char*> kLaunchers[] = {
      {"RANK", "WORLD_SIZE"},
      {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
      {"SLURM_PROCID", "SLURM_NTASKS"},
  };
  RankAddress address;
  for (const auto& [rank_name, size_name] : kLaunchers) {
    if (!variable(rank_name) || !variable(size_name)) continue;
    address.world_size = integer_variable(size_name, 1, 1 << 16);
    address.rank = integer_variable(rank_name, 0, address.world_size - 1);
    break;
  }
  if (address.world_size == 1) return address;
  if (const auto master = variable("MASTER_ADDR")) {
    address.master_address = *master;
  } else {
    const auto num_nodes = variable("SLURM_JOB_NUM_NODES");
    const auto local_size = variable("OMPI_COMM_WORLD_LOCAL_SIZE");
    const bool one_machine = (!num_nodes || *num_nodes == "1") &&
                             (!local_size || *local_size == std::to_string(address.world_size));
    if (!one_machine) {
      throw ConfigError(
          "environment variable MASTER_ADDR is not set, expected the first machine's "
          "name where processes run on several");
    }
  }
  if (variable("MASTER_PORT")) {
    address.master_port = static_cast<uint16_t>(integer_variable("MASTER_PORT", 1, 65535));
  }
  return address;
}

struct ProcessGroup::Backend {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
};

template <class Operation>
void ProcessGroup::checked(const char* name, const Operation& operation) {
  try {
    operation();
  } catch (const std::exception& error) {
    const std::string_view reason(error.what());
    throw Error(
        fmt::format("rank {} of {}: {} failed; another rank has ended or does not answer: {}",
                    rank_, size_, name, printable(reason.substr(0, reason.find('\n')), 200)));
  }
}

ProcessGroup::ProcessGroup(const RankAddress& address, int64_t timeout_s)
    : rank_(address.rank), size_(address.world_size) {
  if (size_ == 1) return;
  checked("meeting the other ranks", [&] {
    const std::chrono::milliseconds timeout(1000 * timeout_s);
    c10d::TCPStoreOptions store_options;
    store_options.port = address.master_port;
    store_options.isServer = rank_ == 0;
    store_options.numWorkers = size_;
    store_options.timeout = timeout;
    without_libuv(store_options);
    backend_ = std::make_unique<Backend>();
    backend_->store = c10::make_intrusive<c10d::TCPStore>(address.master_address, store_options);
    auto options = c10d::ProcessGroupGloo::Options::create(timeout);
    const bool on_this_machine =
        address.master_address == "127.0.0.1" || address.master_address == "localhost";
    options->devices.push_back(on_this_machine
                                   ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                   : c10d::ProcessGroupGloo::createDefaultDevice());
    backend_->gloo =
        c10::make_intrusive<c10d::ProcessGroupGloo>(backend_->store, rank_, size_, options);
  });
}

ProcessGroup::~ProcessGroup() = default;

void ProcessGroup::sum(std::vector<at::Tensor>& tensors) {
  if (!backend_) return;
  const at::NoGradGuard no_grad;
  // As one: a message for each small tensor would cost more than its bytes.
  std::vector<at::Tensor> pieces;
  for (const at::Tensor& tensor : tensors) pieces.push_back(tensor.reshape(-1));
  std::vector<at::Tensor> joined = {at::cat(pieces)};
  checked("adding up gradients", [&] { backend_->gloo->allreduce(joined)->wait(); });
  int64_t begin = 0;
  for (at::Tensor& tensor : tensors) {
    tensor.copy_(joined[0].slice(0, begin, begin + tensor.numel()).view(tensor.sizes()));
    begin += tensor.numel();
  }
}

at::Tensor ProcessGroup::gather_rows(const at::Tensor& rows) {
  if (!backend_) return rows;
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> count = {at::tensor({rows.size(0)}, at::kLong)};
  std::vector<std::vector<at::Tensor>> counts(1);
  for (int i = 0; i < size_; ++i) counts[0].push_back(at::zeros({1}, at::kLong));
  checked("gathering embeddings", [&] { backend_->gloo->allgather(counts, count)->wait(); });
  int64_t most = 0;
  for (const at::Tensor& c : counts[0]) most = std::max(most, c.item<int64_t>());
  std::vector<int64_t> shape = rows.sizes().vec();
  shape[0] = most;
  std::vector<at::Tensor> padded = {at::zeros(shape, rows.options().requires_grad(false))};
  padded[0].slice(0, 0, rows.size(0)).copy_(rows);
  std::vector<std::vector<at::Tensor>> all(1);
  for (int i = 0; i < size_; ++i) all[0].push_back(at::zeros_like(padded[0]));
  checked("gathering embeddings", [&] { backend_->gloo->allgather(all, padded)->wait(); });
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i < all[0].size(); ++i) {
    parts.push_back(all[0][i].slice(0, 0, counts[0][i].item<int64_t>()));
  }
  return at::cat(parts);
}

void ProcessGroup::broadcast(std::vector<at::Tensor>& tensors) {
  if (!backend_) return;
  const at::NoGradGuard no_grad;
  checked("sending weights", [&] {
    for (at::Tensor& tensor : tensors) {
      std::vector<at::Tensor> one = {tensor.contiguous()};
      backend_->gloo->broadcast(one)->wait();
      tensor.copy_(one[0]);
    }
  });
}

void ProcessGroup::barrier() {
  if (!backend_) return;
  checked("waiting for the other ranks", [&] { backend_->gloo->barrier()->wait(); });
}

}  // namespace e5v::detail
