#include "e5v/convert/rewrite_checkpoint.h"

#include <algorithm>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/new_folder.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/checkpoint/convert.h"
#include "e5v/convert/model_folder.h"
#include "e5v/nn/stored_tensor.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

std::vector<std::byte> to_bytes(const at::Tensor& value, DType dtype) {
  const at::Tensor wide = value.to(at::kFloat).contiguous();
  const auto count = static_cast<size_t>(wide.numel());
  std::vector<std::byte> bytes(count * dtype_bytes(dtype));
  convert_from_float32(dtype, {wide.data_ptr<float>(), count}, bytes);
  return bytes;
}

}  // namespace

void rewrite_checkpoint(const fs::path& source, const fs::path& target, const WeightNames& names,
                        const TensorReplacement& replacement, const ProgressCallback& progress) {
  NewFolder folder(target, "a model");
  const at::NoGradGuard no_grad;
  const Checkpoint checkpoint = Checkpoint::open(source);
  std::vector<TensorSpec> specs;
  uint64_t total = 0, done = 0;
  for (const std::string& name : checkpoint.names()) {
    const TensorView view = *checkpoint.find(name);
    specs.push_back({name, view.dtype, {view.shape.begin(), view.shape.end()}});
    total += view.bytes.size();
  }
  CheckpointWriter writer(folder.path(), specs);
  for (const TensorSpec& spec : specs) {
    const TensorView view = *checkpoint.find(spec.name);
    std::optional<at::Tensor> changed;
    if (is_floating_point(view.dtype)) {
      changed = replacement(names.canonical(spec.name), view_stored(view));
    }
    if (changed) {
      E5V_ASSERT(std::equal(spec.shape.begin(), spec.shape.end(), changed->sizes().begin(),
                            changed->sizes().end()));
      writer.write(spec.name, to_bytes(*changed, view.dtype));
    } else {
      writer.write(spec.name, view.bytes);
    }
    done += view.bytes.size();
    checkpoint.release(spec.name);
    if (progress) progress(done, total);
  }
  writer.commit();
  copy_other_files(source, folder.path());
  folder.commit();
}

}  // namespace e5v::detail
