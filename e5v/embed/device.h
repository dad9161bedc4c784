#pragma once

#include <c10/core/Device.h>

#include <string>

namespace e5v::detail {

/// The device called "auto" (CUDA where libtorch has it, else the CPU), "cpu", "cuda" or "cuda:N".
/// Throws ConfigError for another name, and where there is no such device.
c10::Device device_from_name(const std::string& name);

}  // namespace e5v::detail
