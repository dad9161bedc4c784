#include "e5v/model/splice.h"

#include "e5v/base/error.h"

namespace e5v::detail {

at::Tensor feature_rows(const at::Tensor& ids) { return at::nonzero(ids < 0).squeeze(1); }

at::Tensor splice_features(const Llama& language_model, const at::Tensor& ids,
                           const at::Tensor& features) {
  const at::Tensor embeds = language_model.embed_tokens(ids.clamp_min(0));  // [T, D]
  if (!features.defined()) return embeds;
  const at::Tensor places = feature_rows(ids);
  if (places.size(0) != features.size(0)) {
    throw InputError(fmt::format("the batch has {} places for image features, its images give {}",
                                 places.size(0), features.size(0)));
  }
  return embeds.index_copy(0, places, features);
}

}  // namespace e5v::detail
