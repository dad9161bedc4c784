#pragma once

#include <map>
#include <string>
#include <vector>

namespace e5v::detail {

/// Which stored tensor each parameter of a model comes from, and all that does not fit.
struct CheckpointReport {
  /// Parameter -> stored name, both of tensors that fit. A rounded weight has an entry for each of
  /// its RoundedForm::tensors, under "NAME.weight" and their suffix.
  std::map<std::string, std::string> sources;
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;  ///< stored, and neither a parameter nor known to be unused
  std::vector<std::string> misshaped;   ///< "name: has [3, 4], expected [3, 5]"

  bool complete() const { return missing.empty() && misshaped.empty(); }

  /// All findings in one line, long lists cut after `max_names` of each kind.
  std::string summary(size_t max_names = 8) const;
};

}  // namespace e5v::detail
