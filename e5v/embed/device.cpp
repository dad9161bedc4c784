#include "e5v/embed/device.h"

#include <torch/cuda.h>

#include "e5v/base/error.h"

namespace e5v::detail {

c10::Device device_from_name(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  const bool has_cuda = torch::cuda::is_available();
  if (name == "auto") return has_cuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  const bool is_cuda = name == "cuda" || name.starts_with("cuda:");
  try {
    if (is_cuda && has_cuda) return at::Device(name == "cuda" ? "cuda:0" : name);
  } catch (const c10::Error&) {  // reported below
  }
  if (is_cuda && !has_cuda)
    throw ConfigError("device 'cuda' is not available: libtorch finds none");
  throw ConfigError(
      fmt::format("device '{}' is not known, expected auto, cpu, cuda or cuda:N", printable(name)));
}

}  // namespace e5v::detail
