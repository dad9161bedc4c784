#include "e5v/families/load_model.h"

#include "e5v/families/registry.h"
#include "e5v/model/precision_forms.h"

namespace e5v::detail {

std::unique_ptr<Model> load_model(const std::filesystem::path& model_dir,
                                  const LoadOptions& options) {
  const auto architecture = load_architecture(model_dir);
  std::unique_ptr<Model> model = architecture->make_model();
  const Precision precision =
      load_parameters(*model, architecture->weight_names(), model_dir, options);
  model->set_compute_dtype(compute_dtype(precision));
  model->set_device(options.device);
  return model;
}

}  // namespace e5v::detail
