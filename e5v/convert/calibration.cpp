#include "e5v/convert/calibration.h"

#include <memory>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/model/checkpoint_matcher.h"
#include "e5v/model/load_parameters.h"
#include "e5v/model/packed_batch.h"
#include "e5v/model/precision_forms.h"
#include "e5v/nn/stored_tensor.h"

namespace e5v::detail {
namespace {

/// What the parts of one group share: the first product of any of them rounds them all.
class GroupInPassing {
 public:
  GroupInPassing(const WeightGroup& group, const RoundGroup& round)
      : group_(group), round_(round) {}

  /// The part's storage, which is given away.
  std::unique_ptr<LinearStorage> take(size_t part, const at::Tensor& x) {
    if (storages_.empty()) {
      for (RoundedPart& rounded : round_(group_, x)) {
        storages_.push_back(group_.form->load({std::move(rounded)}, group_.in_features()));
      }
    }
    return std::move(storages_.at(part));
  }

 private:
  const WeightGroup& group_;
  const RoundGroup& round_;
  std::vector<std::unique_ptr<LinearStorage>> storages_;
};

/// A weight that comes to be when its product is asked for, once, and then is gone again.
class StorageInPassing final : public LinearStorage {
 public:
  StorageInPassing(std::shared_ptr<GroupInPassing> group, size_t part)
      : group_(std::move(group)), part_(part) {}

  at::Tensor product(const at::Tensor& x, const at::Tensor& bias,
                     at::ScalarType out_dtype) const override {
    return group_->take(part_, x)->product(x, bias, out_dtype);
  }
  void add_product(const at::Tensor& x, const at::Tensor& bias,
                   at::Tensor& residual) const override {
    group_->take(part_, x)->add_product(x, bias, residual);
  }
  at::Tensor dense() const override {
    throw_broken_invariant("a weight in passing is only multiplied", __FILE__, __LINE__);
  }
  int64_t num_bytes() const override { return 0; }

 private:
  std::shared_ptr<GroupInPassing> group_;
  size_t part_;
};

/// Gives the language model what of it is not rounded, in place in the file where types allow:
/// valid as long as the checkpoint.
class UnroundedReader final : public ParameterVisitor {
 public:
  UnroundedReader(const WeightNames& names, const Checkpoint& checkpoint,
                  const CheckpointReport& report)
      : names_(names), checkpoint_(checkpoint), report_(report) {}

  void tensor(const std::string& name, at::Tensor& value, at::IntArrayRef shape) override {
    if (!is_wanted(name)) return;
    const at::Tensor stored = view(name);
    value = stored.to(shape.size() == 2 ? stored.scalar_type() : at::kFloat);
  }
  void linear(const std::string& name, Linear& linear) override {
    if (is_wanted(name) && linear.has_bias()) linear.set_bias(view(name + ".bias").to(at::kFloat));
  }

 private:
  bool is_wanted(const std::string& name) const { return names_.in_text_model(name); }
  at::Tensor view(const std::string& name) const {
    return view_stored(*checkpoint_.find(report_.sources.at(name)));
  }

  const WeightNames& names_;
  const Checkpoint& checkpoint_;
  const CheckpointReport& report_;
};

}  // namespace

void round_in_passing(Model& model, const WeightNames& names,
                      const std::filesystem::path& model_dir,
                      const std::vector<WeightGroup>& groups, Precision precision,
                      const PackedBatch& batch, const RoundGroup& round) {
  const at::NoGradGuard no_grad;
  const Checkpoint checkpoint = Checkpoint::open(model_dir);
  const CheckpointReport report = compare_with_checkpoint(model, checkpoint, names);
  if (!batch.images.empty()) {
    std::vector<std::string> picture_parts = names.prefixes_of(PartKind::kVisionTower);
    for (const std::string& prefix : names.prefixes_of(PartKind::kProjector)) {
      picture_parts.push_back(prefix);
    }
    load_parameters(model, names, model_dir, {.precision = precision, .only = picture_parts});
  }
  UnroundedReader reader(names, checkpoint, report);
  model.visit_parameters(reader);
  model.set_compute_dtype(compute_dtype(precision));

  for (const WeightGroup& group : groups) {
    const auto shared = std::make_shared<GroupInPassing>(group, round);
    for (size_t part = 0; part < group.parts.size(); ++part) {
      group.parts[part].linear->set_weight(std::make_unique<StorageInPassing>(shared, part));
    }
  }
  // Of all tokens: every layer then computes each of them.
  model.forward_tokens(batch, at::arange(1, at::kLong));
}

}  // namespace e5v::detail
