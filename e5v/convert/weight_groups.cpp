#include "e5v/convert/weight_groups.h"

#include "e5v/model/precision_forms.h"
#include "e5v/nn/fused_linear.h"

namespace e5v::detail {
namespace {

class GroupLister final : public ParameterVisitor {
 public:
  GroupLister(const WeightNames& names, const CheckpointReport& report, Precision precision)
      : names_(names), report_(report), precision_(precision) {}

  void tensor(const std::string&, at::Tensor&, at::IntArrayRef) override {}
  void linear(const std::string& name, Linear& linear) override {
    add(start_group(name), name, linear);
  }
  void fused(FusedLinear& linears) override {
    WeightGroup* const group = start_group(full_name(linears.name(0)));
    for (size_t i = 0; i < linears.num_parts(); ++i) {
      add(group, full_name(linears.name(i)), linears.part(i));
    }
  }

  std::vector<WeightGroup> groups;

 private:
  /// nullptr where the weight stays as it is.
  WeightGroup* start_group(const std::string& name) {
    const RoundedForm* form = as_rounded(weight_form(names_, name, precision_));
    if (form == nullptr) return nullptr;
    return &groups.emplace_back(WeightGroup{form, {}, names_.in_text_model(name)});
  }
  void add(WeightGroup* group, const std::string& name, Linear& linear) const {
    if (group != nullptr) group->parts.push_back({report_.sources.at(name + ".weight"), &linear});
  }

  const WeightNames& names_;
  const CheckpointReport& report_;
  Precision precision_;
};

}  // namespace

std::vector<WeightGroup> list_weight_groups(Model& model, const WeightNames& names,
                                            const CheckpointReport& report, Precision precision) {
  GroupLister lister(names, report, precision);
  model.visit_parameters(lister);
  return std::move(lister.groups);
}

}  // namespace e5v::detail
