#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "e5v/nn/tensor_fwd.h"

namespace e5v::detail {

/// Which of how many processes this is, and where they meet.
struct RankAddress {
  int rank = 0;
  int world_size = 1;
  std::string master_address = "127.0.0.1";
  uint16_t master_port = 29500;

  /// From the environment that torchrun (RANK, WORLD_SIZE), Slurm (SLURM_PROCID, SLURM_NTASKS with
  /// SLURM_JOB_ID) or Open MPI (OMPI_COMM_WORLD_RANK, _SIZE) set, and MASTER_ADDR, MASTER_PORT. A
  /// plain start gives one rank. Throws ConfigError where a variable is malformed, or processes on
  /// several machines have no MASTER_ADDR.
  static RankAddress from_environment();
};

/// The processes that train one model together: collective operations over torch.distributed
/// (Gloo). All ranks must call the same members in the same order. With one rank nothing is sent.
///
/// Every member throws Error naming the operation if another rank has died or does not answer in
/// time.
class ProcessGroup {
 public:
  /// Meets the other ranks; waits at most `timeout_s` for them and for each later operation.
  explicit ProcessGroup(const RankAddress& address = {}, int64_t timeout_s = 300);
  ~ProcessGroup();

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_first() const { return rank_ == 0; }

  /// Adds the tensors of all ranks, in place. fp32, the same shapes everywhere.
  void sum(std::vector<at::Tensor>& tensors);
  /// Rows of all ranks, in the order of the ranks; each may have another number of them.
  at::Tensor gather_rows(const at::Tensor& rows);
  /// Overwrites the tensors with the first rank's.
  void broadcast(std::vector<at::Tensor>& tensors);
  /// Returns once all ranks are here.
  void barrier();

 private:
  struct Backend;  // keeps torch.distributed's headers in process_group.cpp
  template <class Operation>
  void checked(const char* name, const Operation& operation);

  int rank_, size_;
  std::unique_ptr<Backend> backend_;  // null with one rank
};

}  // namespace e5v::detail
