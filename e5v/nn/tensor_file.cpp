#include "e5v/nn/tensor_file.h"

#include <utility>
#include <vector>

#include "e5v/checkpoint/checkpoint.h"
#include "e5v/nn/stored_tensor.h"

namespace e5v::detail {

void write_tensor_file(const std::filesystem::path& path,
                       const std::map<std::string, at::Tensor>& tensors,
                       const std::map<std::string, std::string, std::less<>>& metadata) {
  std::vector<TensorSpec> specs;
  for (const auto& [name, tensor] : tensors) {
    specs.push_back({name, stored_dtype(tensor.scalar_type()), tensor.sizes().vec()});
  }
  SafetensorsWriter writer(path, std::move(specs), metadata);
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor rows = tensor.detach().cpu().contiguous();
    writer.write(name, {static_cast<const std::byte*>(rows.data_ptr()), rows.nbytes()});
  }
  writer.commit();
}

std::map<std::string, at::Tensor> read_tensor_file(const std::filesystem::path& path) {
  const Checkpoint file = Checkpoint::open(path);
  std::map<std::string, at::Tensor> tensors;
  for (const std::string& name : file.names()) {
    tensors[name] = copy_stored(*file.find(name), at::kFloat);
  }
  return tensors;
}

}  // namespace e5v::detail
