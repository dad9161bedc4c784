#include "e5v/train/revision.h"

namespace e5v::detail {

std::string program_revision() { return E5V_REVISION; }

}  // namespace e5v::detail
